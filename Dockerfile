# A server for speech emotion recognition on CPUs: `c2ser serve`. docs/serve.md says how to build and start it.
FROM python:3.11.14-slim-bookworm

RUN useradd --create-home --uid 10001 c2ser
WORKDIR /opt/c2ser
COPY setup.py pyproject.toml README.md LICENSE ./
COPY c2ser ./c2ser
# torch for CPUs has an index of its own; the usual one brings gigabytes for GPUs
RUN pip install --no-cache-dir torch==2.11.0 torchaudio==2.11.0 --index-url https://download.pytorch.org/whl/cpu \
    && pip install --no-cache-dir ".[serve]"

USER c2ser
EXPOSE 8000
# /model is a model folder of the host; the token comes from C2SER_TOKEN, or stands in the first line of the log
ENTRYPOINT ["c2ser", "serve", "--host", "0.0.0.0", "--model", "/model"]
HEALTHCHECK --start-period=2m CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/health')"]
