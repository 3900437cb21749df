"""A headless browser for tests of pages: Chromium, driven through node and playwright-core where all three are at hand.

`C2SER_PLAYWRIGHT` names the node_modules folder that holds playwright-core; without it node looks where it always does,
beside the project. Tests skip where a part is missing.
"""

import json
import os
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import pytest

ROOT = Path(__file__).resolve().parents[1]
CHROMIUM = ("chromium", "chromium-browser", "google-chrome")

WRAPPER = """
const { chromium } = require("playwright-core");
const [executablePath, args, flags] = JSON.parse(process.argv[1]);
(async () => {
  const browser = await chromium.launch({ executablePath, args: flags });
  let result;
  try { result = await (async () => { SCRIPT })(); } finally { await browser.close(); }
  console.log(JSON.stringify(result ?? null));
})().catch(error => { console.error(error); process.exit(1); });
"""


class Browser(NamedTuple):
    """Where the parts lie: the programs, and the environment in which node finds playwright-core."""

    node: str
    chromium: str
    environment: dict[str, str]


@cache
def _parts() -> Browser | str:
    """Return the parts, or what is missing."""
    node, chromium = shutil.which("node"), next(filter(None, map(shutil.which, CHROMIUM)), None)
    if not node or not chromium:
        return f"no {'Chromium' if node else 'node'} on this machine"
    folders = [os.environ.get("C2SER_PLAYWRIGHT"), os.environ.get("NODE_PATH")]
    environment = os.environ | {"NODE_PATH": os.pathsep.join(filter(None, folders))}
    probe = [node, "-e", "require.resolve('playwright-core')"]
    if subprocess.run(probe, cwd=ROOT, env=environment, capture_output=True).returncode:
        return "no playwright-core; set C2SER_PLAYWRIGHT to the node_modules folder that holds it"
    return Browser(node, chromium, environment)


def find_browser() -> Browser:
    """Return where node, Chromium and playwright-core are, or skip the test."""
    parts = _parts()
    if isinstance(parts, str):
        pytest.skip(parts)
    return parts


def run_in_browser(script: str, *args: Any, flags: tuple[str, ...] = (), timeout: float = 120) -> Any:
    """Run JavaScript that drives a browser, and return what it returns; skip the test where there is no browser.

    Args:
        script: the body of an async function, which knows `browser` (playwright's) and `args`.
        args: what `args` holds; anything that JSON can hold.
        flags: more of Chromium's options, for example for a microphone that plays a file.
        timeout: seconds.
    """
    parts = find_browser()
    words = json.dumps([parts.chromium, args, flags])
    command = [parts.node, "-e", WRAPPER.replace("SCRIPT", script), words]
    done = subprocess.run(command, cwd=ROOT, env=parts.environment, capture_output=True, text=True, timeout=timeout)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])
