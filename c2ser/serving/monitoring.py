"""What a server counts, in the text format of Prometheus."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

SIZES = (1, 2, 4, 8, 16, 32, 64)
SECONDS = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)


class Monitor:
    """The counters of one server; they begin at 0 with it."""

    def __init__(self) -> None:
        registry = CollectorRegistry()
        self._registry = registry
        self.answers = Counter(
            "c2ser_answers", "Answers of the interface by HTTP status", ["status"], registry=registry
        )
        self.request_seconds = Histogram(
            "c2ser_request_seconds", "Time of a request for emotions", buckets=SECONDS, registry=registry
        )
        self.requests_inside = Gauge("c2ser_requests_inside", "Requests being answered or waiting", registry=registry)
        self.segments_waiting = Gauge("c2ser_segments_waiting", "Segments that wait for a batch", registry=registry)
        self.audio_seconds = Counter("c2ser_audio_seconds", "Speech that the model heard", registry=registry)
        self.batch_segments = Histogram("c2ser_batch_segments", "Segments in a batch", buckets=SIZES, registry=registry)
        self.batch_requests = Histogram(
            "c2ser_batch_requests", "Requests that share a batch", buckets=SIZES, registry=registry
        )

    def count_answer(self, status: int) -> None:
        """Count an answer of the interface with that HTTP status."""
        self.answers.labels(str(status)).inc()

    def count_batch(self, requests: int, seconds: list[float]) -> None:
        """Count a batch; as `c2ser.serving.batching.CountBatch`."""
        self.audio_seconds.inc(sum(seconds))
        self.batch_segments.observe(len(seconds))
        self.batch_requests.observe(requests)

    def text(self) -> str:
        """Return all counters as Prometheus reads them."""
        return generate_latest(self._registry).decode("utf-8")
