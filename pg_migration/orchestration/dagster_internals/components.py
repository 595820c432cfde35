"""Of components, and the projects that hold them."""

from dagster._utils.env import using_dagster_dev
from dagster.components.core.component_tree import ComponentTree
from dagster.components.utils.translation import TranslatorResolvingInfo
from dagster_shared.utils.config import discover_config_file, load_toml_as_dict

__all__ = ["ComponentTree", "TranslatorResolvingInfo", "discover_config_file", "load_toml_as_dict", "using_dagster_dev"]
