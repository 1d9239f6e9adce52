# The page in a container.
#   docker build -t stylevid .                                    for a CPU
#   docker build -t stylevid --build-arg TORCH=cuda .             for an NVIDIA GPU
#   docker run --read-only --tmpfs /tmp:size=8g,mode=1777 --cap-drop ALL \
#     --security-opt no-new-privileges --memory 8g --pids-limit 512 -p 7860:7860 stylevid
# with `--gpus all` for a GPU, and e.g. `--visitor-seconds 600 --auth @/run/secrets/users` after the
# image's name. The styles are in the image; /tmp is all that is written to.
FROM python:3.11-slim-bookworm

ARG TORCH=cpu
ENV PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 PIP_NO_CACHE_DIR=1 \
    GRADIO_ANALYTICS_ENABLED=False HF_HOME=/tmp/huggingface MPLCONFIGDIR=/tmp/matplotlib HOME=/tmp

WORKDIR /app
COPY requirements.txt .
# Both from one index: PyPI's torchvision does not load beside a CPU build of torch.
RUN if [ "$TORCH" = cpu ]; then \
      pip install --index-url https://download.pytorch.org/whl/cpu torch torchvision; \
    fi && pip install -r requirements.txt
COPY app.py LICENSE ./
COPY stylevid stylevid
COPY webui webui
COPY weights weights

RUN useradd --system --uid 10001 --no-create-home --shell /usr/sbin/nologin stylevid
USER 10001
EXPOSE 7860
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=10s --start-period=90s \
    CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:7860/health', timeout=8)"]
ENTRYPOINT ["python", "app.py", "--host", "0.0.0.0", "--port", "7860"]
