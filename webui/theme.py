# pyright: basic, reportArgumentType=false, reportPrivateImportUsage=false
"""How the page looks."""

from pathlib import Path

import gradio as gr

CSS = """
.gradio-container { width: 100%; max-width: 1240px !important; margin: auto;
  overflow: clip !important; } /* so that #go can stick */
.gradio-container > main { padding-top: 0 !important; padding-bottom: 0 !important; }
#title h1 { font-size: 1.3rem; margin: .3rem 0 0; }
#title p { margin: 0; }
#left, #outcome { gap: .5rem; }
#status progress { width: 100%; height: 1.1rem; accent-color: #4f46e5; }
#both-note { background: var(--block-background-fill); }
#hub-note progress, #both-note progress { width: 100%; accent-color: #4f46e5; }
#hub-note p { margin: .2rem 0; }
#status .small { font-size: .8rem; color: var(--body-text-color-subdued); }
#status p { margin: .35rem 0; }
.step h2 { font-size: 1.05rem; margin: 0; }
#stage figure { position: relative; margin: 0; }
#stage video, #stage img, #newest img { width: 100%; max-height: 26rem; object-fit: contain;
  border-radius: 8px; background: #000; }
#stage figcaption { font-size: .85rem; color: var(--body-text-color-subdued); }
#stage .pause { position: absolute; top: .5rem; right: .5rem; width: 2rem; height: 2rem;
  display: grid; place-items: center; border-radius: 1rem; color: #fff; background: #000a; }
#stage .pause::before { content: ""; width: .7rem; height: .7rem; border: solid #fff;
  border-width: 0 .22rem; }
#stage .html-container, #card .html-container, #status .html-container { padding: 0; }
#card .prose { display: flex; gap: .8rem; align-items: center; }
#card img { max-height: 4.5rem; max-width: 7rem; margin: 0; border-radius: 4px; }
#card p { margin: 0; }
#said { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
#styles { contain: inline-size; }
#styles .grid-wrap { height: auto !important; min-height: 0 !important; padding: 0;
  max-height: 21rem !important; }
#styles .grid-container { gap: .3rem; padding: 0; width: 100%;
  grid-template-columns: repeat(6, minmax(0, 1fr)) !important; grid-template-rows: none;
  grid-auto-rows: auto; }
#styles .thumbnail-item { aspect-ratio: 4 / 3; }
#styles .caption-label { white-space: nowrap; overflow: hidden; text-overflow: ellipsis;
  font-size: .65rem; line-height: 1.2; max-width: 100%; padding: .05rem .25rem;
  opacity: 1 !important; }
#video:has(video[src]) { height: 170px !important; }
#video:has(video[src]) .source-selection { display: none; }
#video button.upload-container { border: 1px dashed var(--border-color-primary); }
#style, #temporal { padding: 0; }
#live-styles .grid-wrap { height: auto !important; max-height: none !important; }
#live-styles .grid-container { grid-template-columns: repeat(4, minmax(0, 1fr)) !important; }
#live-styles .caption-label { max-width: 100%; left: 0; bottom: 0; margin: 0; font-size: .7rem;
  padding: .1rem .3rem; border-radius: 0; }
#style input { text-overflow: ellipsis; margin-right: 1.5rem; }
#paint, #stop { min-width: 45%; }
#go { align-items: center; flex-wrap: nowrap; position: sticky; bottom: 0; z-index: 20;
  background: var(--body-background-fill); padding: .3rem 0; }
#load { align-self: flex-end; max-height: 2.7rem; margin: 0 .5rem .45rem; }
#style-file .icon-wrap { display: none; }
@media (max-width: 700px) {
  .gradio-container > .main { padding: .5rem 1rem; }
  #outcome { order: -1; }
  #left, #outcome { flex-basis: 100%; min-width: 0 !important; max-width: 100%; gap: .35rem; }
  #title p, #temporal .info-text { display: none; }
  #card img { max-height: 3rem; }
  #video, #video:has(video[src]) { height: 110px !important; }
  #styles .grid-wrap { overflow-x: auto; }
  #styles .grid-container { grid-template-columns: none !important; grid-auto-flow: column;
    grid-template-rows: repeat(2, auto); grid-auto-columns: 5.2rem; width: max-content; }
}
footer { opacity: .8; }
"""


def head() -> str:
    """The page's own script."""
    return f"<script>{Path(__file__).with_name('page.js').read_text('utf-8')}</script>"


def theme() -> gr.themes.Base:
    """System fonts, so that nothing is fetched."""
    theme = gr.themes.Soft(
        primary_hue="indigo",
        font=["system-ui", "-apple-system", "Segoe UI", "Roboto", "sans-serif"],
        font_mono=["ui-monospace", "Menlo", "Consolas", "monospace"],
    )
    # Soft's own button and labels and help text are too pale for WCAG AA.
    return theme.set(
        button_primary_background_fill="*primary_600",
        button_primary_background_fill_hover="*primary_700",
        button_primary_background_fill_dark="*primary_600",
        button_primary_text_color="white",
        button_secondary_background_fill_hover_dark="*primary_600",
        block_label_text_color="*primary_700",
        block_title_text_color="*primary_700",
        checkbox_label_background_fill_selected="*primary_600",
        color_accent="*primary_600",
        block_info_text_color="*neutral_600",
        block_info_text_color_dark="*neutral_300",
        body_text_color_subdued="*neutral_600",
        body_text_color_subdued_dark="*neutral_300",
    )
