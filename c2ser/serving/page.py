"""The page in the browser: a recording goes in, a timeline comes out. Gradio serves it, without asking any other host."""

import os
from pathlib import Path
from typing import Any

import gradio
import numpy as np
from fastapi import FastAPI
from gradio.themes import Base

from c2ser.audio import SAMPLE_RATE
from c2ser.model.model_card import INTENDED_USE
from c2ser.recordings.formats import FORMATS, render
from c2ser.serving.service import Busy, Service
from c2ser.serving.shown import shown_name
from c2ser.serving.timeline_view import view

TITLE = "C²SER: emotions in speech"
FOLDER = Path(__file__).parent

KEPT_SECONDS = 600
"""How long Gradio keeps recordings: until their page has surely played them."""


def add_page(app: FastAPI, service: Service) -> FastAPI:
    """Mount the page at the root of an application, below its other paths."""
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    script = (FOLDER / "page.js").read_text("utf-8")
    return gradio.mount_gradio_app(
        app,
        _blocks(service),
        "/",
        footer_links=[],
        run_history=False,
        show_error=True,
        max_file_size=service.limits.upload_bytes,
        ssr_mode=False,
        enable_monitoring=False,
        pwa=False,
        mcp_server=False,
        theme=Base(font=["system-ui", "sans-serif"], font_mono=["monospace"]),
        css_paths=FOLDER / "page.css",
        head=f"<script>{script}</script>",
    )


def _blocks(service: Service) -> gradio.Blocks:
    async def recognise(path: str | None, reasons: bool) -> tuple[str, Any]:
        if path is None:
            raise gradio.Error("no recording yet; upload or record one", print_exception=False)
        return await _recognise(service, path, reasons)

    with gradio.Blocks(title=TITLE, analytics_enabled=False, delete_cache=(60, KEPT_SECONDS)) as blocks:
        first, _, rest = INTENDED_USE.partition(". ")
        gradio.HTML(f"<h1>{TITLE}</h1>")
        gradio.HTML(f'<p class="c2ser-note" role="note"><b>Intended use:</b> {first}. {rest}</p>')
        recording = gradio.Audio(sources=["upload", "microphone"], type="filepath", label="Recording", buttons=[])
        reasons = gradio.Checkbox(label="Ask the model for its reasons", info="slower; models with explicit chains of thought")
        button = gradio.Button("Recognise emotions", variant="primary")
        result = gradio.HTML()
        player = gradio.Audio(
            label="Player",
            visible=False,
            interactive=False,
            elem_id="c2ser-player",
            buttons=[],
            waveform_options=gradio.WaveformOptions(show_recording_waveform=False),
        )
        button.click(recognise, [recording, reasons], [result, player], api_visibility="private")
    return blocks


async def _recognise(service: Service, path: str, reasons: bool) -> tuple[str, Any]:
    """Return the result as HTML and what the player shows.

    Raises:
        gradio.Error: one line for the reader of the page.
    """
    name = shown_name(Path(path).name)
    from c2ser.audio import load
    try:
        with service.admit():
            timeline = await service.recognise(path, name, style="explicit" if reasons else None)
            wave = load(path, name)
    except (Busy, TimeoutError, ValueError, OSError) as error:
        raise gradio.Error(str(error), print_exception=False) from None
    downloads = {format: render([timeline], format) for format in FORMATS}
    heard = (32767 * np.clip(wave, -1, 1)).astype(np.int16)
    return view(timeline, wave, downloads), gradio.update(value=(SAMPLE_RATE, heard), visible=True)
