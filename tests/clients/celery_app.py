"""Tasks for test_clients.py, which runs a worker of this module and asks it for work: the URLs are in the environment."""

import os

from celery import Celery

app = Celery("app", broker=os.environ["BROKER"], backend=os.environ["BACKEND"])
app.conf.update(
    broker_connection_retry_on_startup=True,
    task_acks_late=True,
    worker_prefetch_multiplier=1,
    result_expires=600,
)


@app.task
def add(a, b):
    return a + b


@app.task(bind=True, max_retries=5)
def flaky(self, fails):
    if self.request.retries < fails:
        raise self.retry(countdown=0.1)
    return self.request.retries


@app.task
def total(numbers):
    return sum(numbers)
