# pyright: basic, reportArgumentType=false, reportPrivateImportUsage=false
"""How the page looks."""

import gradio as gr

CSS = """
.gradio-container { max-width: 1240px !important; margin: auto; }
#status progress { width: 100%; height: 1.1rem; accent-color: #4f46e5; }
#both-note { background: var(--block-background-fill); }
#hub-note progress, #both-note progress { width: 100%; accent-color: #4f46e5; }
#hub-note p { margin: .2rem 0; }
#status .small { font-size: .8rem; color: var(--body-text-color-subdued); }
#status p { margin: .35rem 0; }
.step h3 { margin: .2rem 0 .1rem; }
#styles .grid-wrap { height: auto !important; min-height: 0 !important;
  max-height: 42rem !important; }
#styles .caption-label { white-space: pre-line; overflow-wrap: anywhere; font-size: .8rem;
  line-height: 1.25; max-width: 100%; }
#live-styles .grid-wrap { height: auto !important; max-height: none !important; }
#live-styles .grid-container { grid-template-columns: repeat(4, minmax(0, 1fr)) !important; }
#live-styles .caption-label { max-width: 100%; left: 0; bottom: 0; margin: 0; font-size: .7rem;
  padding: .1rem .3rem; border-radius: 0; }
#style input { text-overflow: ellipsis; margin-right: 1.5rem; }
#load { align-self: flex-end; max-height: 2.7rem; margin: 0 .5rem .45rem; }
#style-file .icon-wrap { display: none; }
@media (max-width: 480px) {
  #styles .grid-container { grid-template-columns: repeat(2, minmax(0, 1fr)) !important; }
}
footer { opacity: .8; }
"""


def theme() -> gr.themes.Base:
    """System fonts, so that nothing is fetched."""
    theme = gr.themes.Soft(
        primary_hue="indigo",
        font=["system-ui", "-apple-system", "Segoe UI", "Roboto", "sans-serif"],
        font_mono=["ui-monospace", "Menlo", "Consolas", "monospace"],
    )
    # Soft's own button and help text are too pale for WCAG AA.
    return theme.set(
        button_primary_background_fill="*primary_600",
        button_primary_background_fill_hover="*primary_700",
        button_primary_background_fill_dark="*primary_600",
        button_primary_text_color="white",
        block_info_text_color="*neutral_600",
        block_info_text_color_dark="*neutral_300",
        body_text_color_subdued="*neutral_600",
        body_text_color_subdued_dark="*neutral_300",
    )
