"""Runs the command line client of scim2-cli with a longer timeout.

It has no option for that, and the 5 s that httpx2 waits by default are too short for a machine under load, whose disk
may take that long for one commit.
"""
import sys

import httpx2

original_init = httpx2.Client.__init__


def init_with_timeout(client, **options):
    original_init(client, **{"timeout": 300, **options})


httpx2.Client.__init__ = init_with_timeout

from scim2_cli import cli

sys.exit(cli())
