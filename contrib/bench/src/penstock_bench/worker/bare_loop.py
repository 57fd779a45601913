"""What a worker is measured beside: a loop over standard input that answers each line and admits nothing."""

from __future__ import annotations

import json
import sys
import time

__all__: list[str] = []


def main() -> None:
    """The loop, until standard input ends."""
    print('{"status":"ready"}', flush=True)
    for line in sys.stdin:
        task = json.loads(line)
        answer = {"task_id": task["task_id"], "result": task["payload"], "error": None, "retry": False}
        print(json.dumps(answer), flush=True)
    time.sleep(0.5)


if __name__ == "__main__":
    main()
