"""What is not answered yet, against a plain list."""

from __future__ import annotations

from hypothesis import given, strategies as st

from penstock_worker.book import Book, Entry
from penstock_worker.handlers import Handler
from penstock_worker.messages import Message

HANDLER = Handler(print, is_async=False, takes_context=False)


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(1, 9)) | st.integers(0, 5), max_size=40))
def test_the_book_holds_what_was_added_and_not_answered(steps: list[tuple[str, int] | int]) -> None:
    book = Book(most=4, most_bytes=20)
    held: list[Entry] = []
    for step in steps:
        if isinstance(step, tuple):
            task_id, size = step
            held.append(book.add(Message(task_id, None, None, "q", size), HANDLER))
        elif step < len(held):
            entry = held.pop(step)
            assert book.answered(entry)
            assert not book.answered(entry)
        book.check_invariants()
        assert len(book) == len(held)
        assert set(map(id, book)) == set(map(id, held))
        assert book.full == (len(held) >= 4 or sum(entry.message.size for entry in held) >= 20)
        for name in "abc":
            message = Message(name, None, None, "q", 1)
            assert book.same_id(message) == [entry for entry in held if entry.message.task_id == name]
