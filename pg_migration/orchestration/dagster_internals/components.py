"""Of components, and the projects that hold them."""

from dagster._utils.env import using_dagster_dev
from dagster.components.core.component_tree import ComponentTree
from dagster_shared.utils.config import discover_config_file, load_toml_as_dict

__all__ = ["ComponentTree", "discover_config_file", "load_toml_as_dict", "using_dagster_dev"]
