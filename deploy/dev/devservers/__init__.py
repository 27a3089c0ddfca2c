# SPDX-License-Identifier: Apache-2.0
"""The parts of the `servers` tool: state (folder, ports), libraries (jars, venv), process (pids), kinds (the servers)."""


class Trouble(Exception):
    """What went wrong, in one line that can be printed as it is: what, where, what to do."""
