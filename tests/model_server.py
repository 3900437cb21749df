"""For tests: a tiny chat model, and a server that speaks OpenAI's protocol and can be made to fail."""

import json
import threading
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from c2ser.chat.config import ServerConfig
from c2ser.chat.protocol import completion

TEMPLATE = (
    "{% for m in messages %}<|user|>{{ m['content'] }}{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)


def make_chat_model(folder):
    """Write a tiny random GLM-4 with a chat template and two end tokens."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import GlmConfig, GlmForCausalLM, PreTrainedTokenizerFast

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    special = ["<|end|>", "<|user|>", "<|assistant|>"]
    raw = Tokenizer(models.BPE(vocab={token: i for i, token in enumerate([*special, *alphabet])}, merges=[]))
    raw.pre_tokenizer, raw.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=raw, eos_token=special[0], pad_token=special[0], extra_special_tokens=special[1:],
        chat_template=TEMPLATE,
    )  # fmt: skip
    torch.manual_seed(0)
    config = GlmConfig(
        vocab_size=len(tokenizer), hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, head_dim=8, pad_token_id=0, eos_token_id=[0, 1], max_position_embeddings=512,
    )  # fmt: skip
    model = GlmForCausalLM(config)
    model.generation_config.eos_token_id = [0, 1]
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


class Server:
    """An OpenAI-compatible server around a function; `faults` are acted out before requests are answered."""

    def __init__(self, answer, faults=()):
        self.answer, self.faults, self.seen, self.headers = answer, list(faults), Counter(), []
        self.busy, self.most, self.times, self.lock = 0, 0, [], threading.Lock()
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                with server.lock:
                    server.seen[str(body["messages"][0]["content"])] += 1
                    server.headers.append(dict(self.headers))
                    server.times.append(time.monotonic())
                    fault = server.faults.pop(0) if server.faults else None
                    server.busy += 1
                    server.most = max(server.most, server.busy)
                try:
                    fault(self) if fault else self.send(200, server.answer(body))
                except (BrokenPipeError, ConnectionResetError):
                    self.close_connection = True
                finally:
                    with server.lock:
                        server.busy -= 1

            def send(self, status, content, length=None, **headers):
                data = content if isinstance(content, bytes) else json.dumps(content).encode()
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name.replace("_", "-"), value)
                self.send_header("Content-Length", str(length or len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *words):
                pass

        class Quiet(ThreadingHTTPServer):
            daemon_threads = True

        self.http = Quiet(("127.0.0.1", 0), Handler)

    def __enter__(self):
        self.thread = threading.Thread(target=self.http.serve_forever, kwargs={"poll_interval": 0.01})
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.http.shutdown()
        self.thread.join()
        self.http.server_close()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.http.server_port}/v1"

    def config(self, **values):
        return ServerConfig(**{"url": self.url, "concurrency": 4, "timeout": 5, "retries": 3, "backoff": 0.01} | values)


def says(body):
    return completion(body["messages"][0]["content"].upper(), True, body["model"])
