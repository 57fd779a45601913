"""What a run does not need it does not load, since many runs are short."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from contrib.batch.tests.conftest import Folder

pytestmark = pytest.mark.loopback

RUN = """
import json, sys
from pathlib import Path
from penstock_batch.command import run_command
code = run_command(Path(sys.argv[1]), limit=None, overwrite=False, plugins=(), progress="none")
print(json.dumps([code, sorted({"jsonschema", "regex", "penstock.testing", "pyarrow", "altair"} & set(sys.modules))]))
"""


def loaded(folder: Folder) -> list[str]:
    """What a run of the folder's pipeline has loaded of what is large and not always needed."""
    done = subprocess.run([sys.executable, "-c", RUN, str(folder.toml)], capture_output=True, text=True, check=True)
    code, modules = json.loads(done.stdout.splitlines()[-1])
    assert code == 0
    return list(modules)


def test_a_plain_run_loads_nothing_that_it_does_not_need(served: Folder) -> None:
    served.rows(2)
    served.write()
    assert loaded(served) == []


def test_a_schema_loads_what_judges_by_it(served: Folder) -> None:
    served.rows(2)
    served.write(
        ('[[steps]]\nname = "summary"', '[[steps]]\nschema = { type = "string" }\noutput = "text"\nname = "summary"')
    )
    assert loaded(served) == ["jsonschema", "regex"]
