# Built once with the compilers of the full image, run without them and not as root.
FROM python:3.12 AS build
WORKDIR /build
RUN python -m venv /opt/ssci
COPY requirements.lock .
RUN /opt/ssci/bin/pip install --no-cache-dir --require-hashes -r requirements.lock
COPY pyproject.toml README.md ./
COPY app app
RUN /opt/ssci/bin/pip install --no-cache-dir --no-deps .

FROM python:3.12-slim
RUN useradd --create-home --uid 10001 ssci && install -d -o ssci -g ssci -m 700 /data
COPY --from=build /opt/ssci /opt/ssci
ENV PATH=/opt/ssci/bin:$PATH PYTHONUNBUFFERED=1 SSCI_DATA_DIR=/data
USER ssci
WORKDIR /home/ssci
VOLUME /data
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=3s --start-period=120s \
    CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8000/health', timeout=2)"]
# Until access control exists this exits with 2 and says why: a service that asks for no tokens binds
# loopback addresses only. What can be run: docker run --rm -it --network host ssci ssci demo
CMD ["ssci", "serve", "--host", "0.0.0.0"]
