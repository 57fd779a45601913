"""What is measured, each as its documentation shows it: Penstock's gateway, nginx, Starlette with httpx2, LiteLLM.

All pass the same call of 300 bytes to the same provider, which answers 400 bytes at once: an nginx of its own.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

from penstock_bench.competitor.environment import CompetitorUnavailable, Environment
from penstock_bench.gateway.processes import Server, free_port

__all__ = ["ANSWER", "CALL", "KEY", "LITELLM", "STARLETTE", "litellm", "nginx", "penstock", "provider", "starlette"]

KEY: Final = "sk-bench-0123456789abcdefghijklmnop"
LITELLM: Final = Environment(
    title="LiteLLM", stem="gateway-", packages=("litellm[proxy]==1.108.7",), without="--without-peer"
)
STARLETTE: Final = Environment(
    title="Starlette, httpx2 and uvicorn",
    stem="gateway-",
    packages=("starlette==1.10.0", "httpx2==2.16.2", "uvicorn==0.54.0"),
    without="--without-peer",
)
_PROXY: Final = Path(__file__).parents[1] / "competitor_side" / "starlette_proxy.py"


def _filled(text: str, size: int) -> str:
    return text.replace("@", "x" * (size - len(text) + 1))


CALL: Final = _filled('{"model":"small","messages":[{"role":"user","content":"@"}]}', 300)
STREAMED: Final = CALL.replace('{"model', '{"stream":true,"model')
ANSWER: Final = _filled(
    '{"id":"1","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":{"role":"assistant",'
    '"content":"@"},"finish_reason":"stop"}],"usage":{"prompt_tokens":75,"completion_tokens":50,"total_tokens":125}}',
    400,
)
_EVENTS: Final = (
    r'data: {"choices":[{"index":0,"delta":{"content":"hi"}}]}\n\n'
    r'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n'
    r"data: [DONE]\n\n"
)
_NGINX: Final = """
worker_processes 1; daemon off; pid {folder}/{name}.pid; error_log stderr crit;
events {{ worker_connections 4096; }}
http {{
  access_log off; keepalive_requests 1000000000; keepalive_timeout 600;
  client_body_temp_path {folder}; proxy_temp_path {folder}; fastcgi_temp_path {folder};
  uwsgi_temp_path {folder}; scgi_temp_path {folder};
  {inside}
}}
"""


def program(name: str, package: str) -> str:
    """Where a program is. Raises `CompetitorUnavailable`."""
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin")
    if found is None:
        raise CompetitorUnavailable(
            f"{name} is not installed, and nothing can be measured without: apt install {package}"
        )
    return found


def _nginx(name: str, inside: str, port: int, folder: Path) -> Server:
    path = folder / f"{name}.conf"
    path.write_text(_NGINX.format(folder=folder, name=name, inside=inside), encoding="utf-8")
    return Server(name, [program("nginx", "nginx-light"), "-c", str(path)], port, folder)


def provider(folder: Path) -> Server:
    """The provider that answers at once."""
    port = free_port()
    inside = f"""server {{ listen 127.0.0.1:{port} backlog=1024;
    location / {{ default_type application/json; return 200 '{ANSWER}'; }}
    location /stream/ {{ default_type text/event-stream; return 200 '{_EVENTS}'; }}
  }}"""
    return _nginx("provider", inside.replace(r"\n", "\n"), port, folder)


def nginx(folder: Path, upstream: int) -> Server:
    """nginx that passes on, on connections that it keeps."""
    port = free_port()
    inside = f"""upstream provider {{ server 127.0.0.1:{upstream}; keepalive 256; keepalive_requests 1000000000; }}
  server {{ listen 127.0.0.1:{port} backlog=1024;
    location / {{ proxy_pass http://provider; proxy_http_version 1.1; proxy_set_header Connection ""; }} }}"""
    return _nginx("nginx", inside, port, folder)


def penstock(
    folder: Path, upstream: int, *, cap: int = 256, log: bool = True, path: str = "/v1", workers: int = 1
) -> Server:
    """The gateway as shipped: one key with limits, the log and `/metrics` on. `cap` is that of the calls in flight."""
    port = free_port()
    name = f"penstock-{port}"
    file = folder / f"{name}.toml"
    file.write_text(
        f"""
[providers.up]
kind = "openai"
base_url = "http://127.0.0.1:{upstream}{path}"
[providers.up.models.small]
max_parallel_requests = {cap}
[gateway]
port = {port}
log = "{f"{folder}/{name}.calls" if log else ""}"
workers = {workers}
[gateway.admin]
port = {free_port()}
[gateway.keys.bench]
env = "BENCH_KEY"
calls = 1000
requests_per_minute = 1_000_000_000
tokens_per_minute = 1_000_000_000_000
""",
        encoding="utf-8",
    )
    command, environment = [sys.executable, "-m", "penstock"], {"BENCH_KEY": KEY, **_compiled(folder)}
    # As an installation is: what is compiled while it starts stays in its memory.
    for compiling in ([*command, "check", str(file)], [sys.executable, "-c", "import penstock_gateway.processes"]):
        subprocess.run(compiling, env={**os.environ, **environment}, check=False, capture_output=True)
    return Server(name, [*command, "serve", str(file)], port, folder, environment)


def _compiled(folder: Path) -> dict[str, str]:
    """What has Python keep compiled modules, whatever is set here."""
    return {"PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": str(folder / "compiled")}


def starlette(folder: Path, upstream: int, python: Path) -> Server:
    """Starlette with a client of httpx2, on uvicorn."""
    port = free_port()
    return Server("starlette", [str(python), str(_PROXY), str(port), f"http://127.0.0.1:{upstream}"], port, folder)


def litellm(folder: Path, upstream: int, python: Path) -> Server:
    """LiteLLM's proxy with one model, and a key."""
    port = free_port()
    file = folder / "litellm.json"  # a YAML file may be JSON
    model = {"model": "openai/small", "api_base": f"http://127.0.0.1:{upstream}/v1", "api_key": "none"}
    settings = {
        "model_list": [{"model_name": "small", "litellm_params": model}],
        "general_settings": {"master_key": KEY},
    }
    file.write_text(json.dumps(settings), encoding="utf-8")
    command = [str(python.parent / "litellm"), "--config", str(file), "--host", "127.0.0.1", "--port", str(port)]
    return Server("litellm", command, port, folder, {"LITELLM_LOCAL_MODEL_COST_MAP": "True"})
