"""A site of Django's own applications and of others that come as packages, with triggers."""

import sys
from datetime import timedelta

import django
import pgtrigger
from django.conf import settings
from django.core.management import call_command
from django.utils import timezone
from psycopg2.extensions import parse_dsn

CONTRIB = ("admin", "auth", "contenttypes", "flatpages", "messages", "redirects", "sessions", "sites")


def main(url: str) -> None:
    names = {"NAME": "dbname", "HOST": "host", "PORT": "port", "USER": "user", "PASSWORD": "password"}
    known = parse_dsn(url)
    settings.configure(
        DATABASES={
            "default": {
                "ENGINE": "django.db.backends.postgresql",
                **{name: known[parameter] for name, parameter in names.items()},
            }
        },
        INSTALLED_APPS=[
            *(f"django.contrib.{name}" for name in CONTRIB),
            "pgtrigger",
            "pghistory",
            "reversion",
            "taggit",
        ],
        DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
        SITE_ID=1,
        USE_TZ=True,
        SECRET_KEY="of a site that nobody visits",
        SILENCED_SYSTEM_CHECKS=["admin"],
        PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"],
    )
    django.setup()
    from django.contrib.auth.models import User

    # As a site would guard what an application of somebody else stores.
    pgtrigger.register(
        pgtrigger.Protect(name="nobody_goes", operation=pgtrigger.Delete),
        pgtrigger.ReadOnly(name="joined_once", fields=["date_joined"]),
    )(User)
    call_command("migrate", verbosity=0, skip_checks=True)
    fill()
    call_command("pgtrigger", "install", verbosity=0, skip_checks=True)


def fill() -> None:
    from django.contrib.admin.models import CHANGE, LogEntry
    from django.contrib.auth.models import Group, Permission, User
    from django.contrib.contenttypes.models import ContentType
    from django.contrib.flatpages.models import FlatPage
    from django.contrib.redirects.models import Redirect
    from django.contrib.sessions.backends.db import SessionStore
    from django.contrib.sites.models import Site
    from reversion.models import Revision, Version
    from taggit.models import Tag, TaggedItem

    site, kind = Site.objects.get(), ContentType.objects.get_for_model(User)
    group = Group.objects.create(name='"Editors"; drop')
    group.permissions.set(Permission.objects.all())
    for number in range(8):
        user = User.objects.create_user(f"user {number} é 日本", f"{number}@example.org", "secret")
        user.groups.add(group)
        LogEntry.objects.create(
            user=user, content_type=kind, object_id=str(user.pk), object_repr="\\N", action_flag=CHANGE
        )
        tag = Tag.objects.create(name=f"tag\t{number}", slug=f"tag-{number}")
        TaggedItem.objects.create(tag=tag, content_type=kind, object_id=user.pk)
        Redirect.objects.create(site=site, old_path=f"/{number}", new_path="")
        page = FlatPage.objects.create(url=f"/p{number}/", title="a page", content="<p>\r\n\\." * number)
        page.sites.add(site)
        revision = Revision.objects.create(date_created=timezone.now() - timedelta(days=number), user=user)
        Version.objects.create(
            revision=revision, content_type=kind, object_id=str(user.pk), db="default", serialized_data="[]"
        )
        session = SessionStore()
        session["number"] = number
        session.save()


if __name__ == "__main__":
    main(sys.argv[1])
