"""The page of `c2ser serve` in a real browser: upload, microphone, playing segments, keyboard, downloads, errors."""

import base64
import re

import numpy as np
import pytest

pytest.importorskip("fastapi", reason="extra [serve]")
pytest.importorskip("gradio", reason="extra [serve]")

from browser import find_browser, run_in_browser
from test_serve import folder, model, process  # noqa: F401 - fixtures
from voices import RATE, voice, wav

from c2ser.recordings.formats import FORMATS, render
from c2ser.recordings.timeline import make_timeline
from c2ser.serving.timeline_view import clock

NAMES = ("録音 東京.wav", "تسجيل صوتي.wav")
"""Read from left to right, and from right to left."""

OPEN = """
const fs = require("fs");
const [address, files] = args;
const context = await browser.newContext({
  viewport: { width: 390, height: 844 }, permissions: ["microphone"], acceptDownloads: true });
const page = await context.newPage(), problems = [], outside = [], seen = { problems, outside };
page.setDefaultTimeout(180000);
page.on("pageerror", error => problems.push(error.message));
page.on("console", message => { if (message.type() === "error") problems.push(message.text()); });
page.on("request", request => {
  if (!request.url().startsWith("data:") && !request.url().replace("blob:", "").startsWith(address))
    outside.push(request.url());
});
const overflow = () => page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
const player = () => page.evaluate(() => {
  const audio = document.querySelector("#c2ser-player audio");
  return { time: audio.currentTime, paused: audio.paused };
});
const until = async check => {
  for (let turn = 0; turn < 400; turn++) {
    const state = await player();
    if (check(state)) return state;
    await page.waitForTimeout(50);
  }
  throw new Error("the player did not get there: " + JSON.stringify(await player()));
};
const upload = async file => {
  const clear = page.locator("button[aria-label=Clear]");
  if (await clear.count()) await clear.first().click();
  for (let turn = 0; turn < 9; turn++) {  // on a busy machine the page may not listen yet, or miss one of its scripts
    if (turn) {
      await page.reload();
      await page.waitForSelector("text=Recognise emotions");
    }
    await page.setInputFiles("input[type=file]", file);
    if (await clear.first().waitFor({ timeout: 20000 }).then(() => true, () => false)) return;
  }
  throw new Error("the page took no file");
};
const recognise = () => page.click("button:has-text('Recognise emotions')");
const result = name => page.waitForSelector(`.c2ser-result h2:has-text("${name}")`);
await page.goto(address);
await page.waitForSelector("text=Recognise emotions");
"""

UPLOAD = """
seen.note = await page.textContent(".c2ser-note");
seen.overflow = [await overflow()];
await recognise();
seen.nothing = await page.textContent("[data-testid=toast-text]");
await page.click("[data-testid=toast-close]");
await upload(files[0]);
await recognise();
await result("録音 東京.wav");
seen.overflow.push(await overflow());
seen.segments = await page.$$eval(".c2ser-bars button", bars => bars.map(bar => [bar.dataset.start, bar.dataset.end]));
const second = page.locator(".c2ser-bars button").nth(1);
await second.click();
seen.begun = (await until(state => !state.paused)).time;
seen.current = await page.$$eval("[aria-current]", marked => marked.map(element => element.tagName));
seen.ended = (await until(state => state.paused)).time;
seen.afterwards = await page.$$eval("[aria-current]", marked => marked.length);

await page.focus(".c2ser-scroll");
for (let turn = 0; turn < 5; turn++) {
  await page.keyboard.press("Tab");
  if (await page.evaluate(() => document.activeElement.matches(".c2ser-segments button"))) break;
}
seen.focused = await page.evaluate(() => document.activeElement.getAttribute("aria-label"));
await page.keyboard.press("Enter");
seen.by_key = (await until(state => !state.paused)).time;

seen.downloads = {};
for (const link of await page.locator(".c2ser-downloads a").all()) {
  const [download] = await Promise.all([page.waitForEvent("download"), link.click()]);
  seen.downloads[download.suggestedFilename()] = fs.readFileSync(await download.path()).toString("base64");
}
await upload(files[1]);
await recognise();
await result("تسجيل صوتي.wav");
await upload(files[2]);
await recognise();
seen.error = await page.textContent("[data-testid=toast-text]");
await page.setViewportSize({ width: 1280, height: 900 });
seen.overflow.push(await overflow());
return seen;
"""

RECORD = """
await page.click("button[aria-label='Record audio']");
await page.click(".record-button");
await page.waitForTimeout(4500);
await page.click(".stop-button");
await page.waitForResponse(response => response.url().includes("/gradio_api/upload") && response.ok());
await page.waitForTimeout(500);
await recognise();
await result("audio");
seen.segments = (await page.$$(".c2ser-bars button")).length;
return seen;
"""


@pytest.fixture(scope="module")
def recording():
    """Two stretches of speech with pauses around them, the second from 2.7 s to 3.9 s."""
    pause = np.zeros(RATE // 2, np.float32)
    spoken = np.concatenate([pause, voice(1.2), pause, pause, voice(1.2, 120), pause])
    return wav(spoken + 0.003 * np.random.default_rng(0).normal(size=len(spoken)))


@pytest.mark.slow
def test_a_recording_goes_in_and_a_timeline_comes_out(root, folder, model, recording, tmp_path):  # noqa: F811
    find_browser()
    files = [tmp_path / name for name in (*NAMES, "broken.wav")]
    for file in files:
        file.write_bytes(b"RIFF is all" if file.stem == "broken" else recording)
    with process(root, folder) as (_, address, _):
        seen = run_in_browser(OPEN + UPLOAD, address, [str(file) for file in files], timeout=600)
    assert not seen["problems"] and not seen["outside"] and max(seen["overflow"]) <= 0
    assert (
        "Decide nothing about people by it" in " ".join(seen["note"].split()) and "no recording yet" in seen["nothing"]
    )
    timeline = make_timeline(model, files[0], name=files[0].name)
    times = [[f"{segment.start:.3f}", f"{segment.end:.3f}"] for segment in timeline.segments]
    assert seen["segments"] == times and len(times) == 2
    (first, _), (start, end) = [(segment.start, segment.end) for segment in timeline.segments]
    assert 2.4 < start < 2.9 and start <= seen["begun"] < end <= seen["ended"] < end + 0.6
    assert seen["current"] == ["BUTTON", "LI"] and seen["afterwards"] == 0
    assert seen["focused"] == f"Play from {clock(first)}" and first <= seen["by_key"] < first + 1
    written = {f"{files[0].stem}.{ending}": render([timeline], ending) for ending in FORMATS}
    downloads = {name: base64.b64decode(content).decode() for name, content in seen["downloads"].items()}
    assert downloads == written
    assert seen["error"].startswith("broken.wav: cannot read it") and "\n" not in seen["error"].strip()


@pytest.mark.slow
def test_what_the_microphone_hears_is_recognised(root, folder, recording, tmp_path):  # noqa: F811
    find_browser()
    sound = tmp_path / "microphone.wav"
    sound.write_bytes(recording)
    flags = ("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream",
             f"--use-file-for-fake-audio-capture={sound}")  # fmt: skip
    with process(root, folder) as (_, address, _):
        seen = run_in_browser(OPEN + RECORD, address, [], flags=flags, timeout=600)
    assert not seen["problems"] and not seen["outside"] and seen["segments"] >= 1


def test_the_script_and_the_style_of_the_page_name_the_same_things(root):
    texts = {kind: (root / f"c2ser/serving/{kind}").read_text("utf-8") for kind in (
        "emotion_page.js", "emotion_page.css", "emotion_page.py", "timeline.html")}  # fmt: skip
    there = set(re.findall(r"c2ser-[a-z]+", texts["emotion_page.py"] + texts["timeline.html"]))
    used = set(re.findall(r"c2ser-[a-z]+", texts["emotion_page.js"] + texts["emotion_page.css"]))
    assert used <= there
