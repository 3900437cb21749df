"""The page in the browser: a recording goes in, a timeline comes out. Gradio serves it, and asks no other host."""

import asyncio
import os
from pathlib import Path
from typing import Any

import gradio
import numpy as np
from fastapi import FastAPI
from gradio.themes import Base

from c2ser.audio import SAMPLE_RATE
from c2ser.model.model_card import INTENDED_USE
from c2ser.recordings.formats import FORMATS, Columns, render
from c2ser.recordings.sources import blocks
from c2ser.serving.service import Busy, Service
from c2ser.serving.shown import shown_name
from c2ser.serving.timeline_view import timeline_view

TITLE = "C²SER: emotions in speech"
BESIDE = Path(__file__).parent

KEPT_SECONDS = 3600
"""How long recordings stay on the server, so that their page can play them."""


def add_page(app: FastAPI, service: Service, folder: Path) -> FastAPI:
    """Mount the page at the root of an application, below its other paths.

    Args:
        app: the application.
        service: does the work.
        folder: where recordings lie as long as their page needs them.
    """
    os.environ |= {"GRADIO_TEMP_DIR": str(folder), "GRADIO_ANALYTICS_ENABLED": "False"}
    script = (BESIDE / "emotion_page.js").read_text("utf-8")
    return gradio.mount_gradio_app(
        app,
        _blocks(service),
        "/",
        footer_links=[],
        run_history=False,
        max_file_size=service.limits.upload_bytes,
        ssr_mode=False,
        enable_monitoring=False,
        pwa=False,
        mcp_server=False,
        theme=_theme(),
        css_paths=BESIDE / "emotion_page.css",
        head=f"<script>{script}</script>",
    )


def _theme() -> Base:
    """Return a look with fonts that every system has, and with enough contrast in the light and in the dark."""
    return Base(font=["system-ui", "sans-serif"], font_mono=["monospace"]).set(
        body_text_color_subdued="*neutral_600",
        body_text_color_subdued_dark="*neutral_300",
        block_info_text_color="*neutral_600",
        block_info_text_color_dark="*neutral_300",
        checkbox_border_color="*neutral_500",
        checkbox_border_color_dark="*neutral_400",
    )


def _blocks(service: Service) -> gradio.Blocks:
    async def recognise(path: str | None, reasons: bool) -> tuple[str, Any]:
        """Return what the page shows of a file."""
        return await _recognise(service, path, reasons)

    plain = gradio.WaveformOptions(show_recording_waveform=False)  # the browser's own player, which plays more formats
    with gradio.Blocks(title=TITLE, analytics_enabled=False, delete_cache=(60, KEPT_SECONDS)) as page:
        gradio.HTML(f'<h1>{TITLE}</h1><p class="c2ser-note"><b>Intended use:</b> {INTENDED_USE}</p>')
        recording = gradio.Audio(
            label="Recording",
            sources=["upload", "microphone"],
            type="filepath",
            editable=False,
            buttons=[],
            waveform_options=plain,
        )
        reasons = gradio.Checkbox(
            label="Ask the model for its reasons",
            info="Takes longer. Models that learnt explicit chains of thought give them; what was said is left out.",
        )
        button = gradio.Button("Recognise emotions", variant="primary")
        player = gradio.Audio(
            label="What the model heard",
            visible=False,
            interactive=False,
            elem_id="c2ser-player",
            buttons=[],
            waveform_options=plain,
        )
        result = gradio.HTML()
        button.click(
            recognise, [recording, reasons], [result, player], api_visibility="private", concurrency_limit=None
        )
    return page


async def _recognise(service: Service, path: str | None, reasons: bool) -> tuple[str, Any]:
    """Return the result as HTML, and what the player gets.

    Raises:
        gradio.Error: one line for the reader of the page.
    """
    if path is None:
        raise gradio.Error("no recording yet; upload one, or record one", print_exception=False)
    name = shown_name(Path(path).name)
    try:
        with service.admit(), open(path, "rb") as file:
            timeline = await service.recognise(file, name, style="explicit" if reasons else None)
            wave = await asyncio.to_thread(_samples, path, name)
    except (Busy, ValueError, OSError) as error:
        raise gradio.Error(" ".join(str(error).split()), print_exception=False) from None
    downloads = {format: render([timeline], format, Columns(service.classes)) for format in FORMATS}
    return timeline_view(timeline, wave, downloads), gradio.update(value=(SAMPLE_RATE, wave), visible=True)


def _samples(path: str, name: str) -> np.ndarray:
    """Return the mean of a recording's channels at 16 kHz, (samples,) int16: what every browser can play."""
    means = (block.mean(axis=1) for block in blocks(path, None, name))
    return np.concatenate([np.rint(32767 * mean.clip(-1, 1)).astype(np.int16) for mean in means])
