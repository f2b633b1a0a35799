"""Threads that compute."""

from __future__ import annotations

import threading

import pytest

from movierec_assets.recsys.threads import in_order


@pytest.mark.parametrize("threads", [1, 2, 5])
@pytest.mark.parametrize("tasks", [0, 1, 2, 30])
def test_results_come_in_the_order_of_the_tasks(tasks: int, threads: int) -> None:
    assert list(in_order(lambda task: task * task, range(tasks), threads)) == [task * task for task in range(tasks)]


def test_no_more_tasks_are_begun_than_the_caller_can_take_soon() -> None:
    begun: list[int] = []
    lock = threading.Lock()

    def work(task: int) -> int:
        with lock:
            begun.append(task)
        return task

    for task in in_order(work, range(40), 3):
        with lock:
            assert len(begun) <= task + 4


def test_an_error_of_a_task_is_raised() -> None:
    def work(task: int) -> int:
        if task == 3:
            raise ValueError("three")
        return task

    with pytest.raises(ValueError, match="three"):
        list(in_order(work, range(10), 2))
