"""Asks the worker of celery_app.py for work."""

from celery import chain, chord, group

from celery_app import add, app, flaky, total

PATIENCE = 60

assert add.delay(1, 2).get(timeout=PATIENCE) == 3
assert flaky.delay(3).get(timeout=PATIENCE) == 3
assert add.apply_async((3, 4), countdown=1).get(timeout=PATIENCE) == 7
assert chain(add.s(1, 1), add.s(10))().get(timeout=PATIENCE) == 12
assert group(add.s(i, i) for i in range(20))().get(timeout=PATIENCE) == [2 * i for i in range(20)]
assert chord((add.s(i, i) for i in range(20)), total.s())().get(timeout=PATIENCE) == 380
with app.connection_or_acquire() as connection:
    assert app.control.inspect(connection=connection, timeout=5).ping()

# What is in a queue is done once there is a worker for it. No node is restarted here: Debian's Celery 5.2 may consume
# nothing any more after its link has broken.
before = [add.apply_async((i, 1), queue="later") for i in range(50)]
assert app.control.add_consumer("later", reply=True)
assert [result.get(timeout=PATIENCE) for result in before] == [i + 1 for i in range(50)]
print("done", flush=True)
