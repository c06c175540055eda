// BullMQ: every job that was added is done, with its result, while links are cut and the node is restarted: delayed,
// prioritized, repeated after failures, in bulk and as a tree. All of its queue is scripts on keys of one hash tag.
import { FlowProducer, Queue, QueueEvents, Worker } from 'bullmq';
import { assert, ports, run, tell, until } from './scenario.mjs';

const connection = { host: '127.0.0.1', port: ports[0], maxRetriesPerRequest: null };

run(async () => {
  const options = { connection, prefix: '{bull}' };
  const queue = new Queue('work', options);
  const events = new QueueEvents('work', options);
  const done = new Map();
  const failures = new Map();
  const worker = new Worker('work', async (job) => {
    if (job.name === 'flaky' && job.attemptsMade < 2) {
      failures.set(job.id, job.attemptsMade + 1);
      throw new Error('not yet');
    }
    await job.updateProgress(50);
    done.set(job.id, (done.get(job.id) ?? 0) + 1);
    return { sum: job.data.a + job.data.b };
  }, { ...options, concurrency: 8 });
  worker.on('error', () => {});
  queue.on('error', () => {});
  events.on('error', () => {});
  await Promise.all([worker.waitUntilReady(), events.waitUntilReady()]);

  const first = await queue.add('add', { a: 1, b: 2 });
  assert.deepEqual(await first.waitUntilFinished(events, 20000), { sum: 3 });

  const flaky = await queue.add('flaky', { a: 2, b: 2 }, { attempts: 3, backoff: { type: 'fixed', delay: 50 } });
  assert.deepEqual(await flaky.waitUntilFinished(events, 20000), { sum: 4 });
  assert.equal(failures.get(flaky.id), 2);

  const before = Date.now();
  const late = await queue.add('add', { a: 5, b: 5 }, { delay: 700 });
  assert.deepEqual(await late.waitUntilFinished(events, 20000), { sum: 10 });
  assert.ok(Date.now() - before >= 690);

  const flow = new FlowProducer(options);
  const tree = await flow.add({
    name: 'add', queueName: 'work', data: { a: 0, b: 0 },
    children: [1, 2, 3].map((a) => ({ name: 'add', queueName: 'work', data: { a, b: a } })),
  });
  await tree.job.waitUntilFinished(events, 20000);
  const children = Object.values(await tree.job.getChildrenValues());
  assert.deepEqual(children.map((child) => child.sum).sort(), [2, 4, 6]);

  await queue.pause();
  const order = [];
  const prioritized = await queue.addBulk([3, 1, 2].map((priority) => (
    { name: 'add', data: { a: priority, b: 0 }, opts: { priority } })));
  worker.on('completed', (job) => order.push(job.data.a));
  assert.equal((await queue.getJobCounts('prioritized', 'paused')).prioritized, 3);
  await queue.resume();
  await Promise.all(prioritized.map((job) => job.waitUntilFinished(events, 20000)));
  await until('the worker has told of all three', () => order.length === 3);
  assert.deepEqual([...order].sort(), [1, 2, 3]);

  // The node is killed and started again with jobs in all states.
  const jobs = await queue.addBulk([...Array(200).keys()].map((i) => ({ name: 'add', data: { a: i, b: 1 } })));
  await tell('restart n1');
  const more = await queue.addBulk([...Array(50).keys()].map((i) => ({ name: 'add', data: { a: i, b: 2 } })));
  for (const job of [...jobs, ...more]) {
    const result = await until(`job ${job.id} is completed`, async () => {
      const state = await queue.getJob(job.id);
      return state?.returnvalue;
    }, 60);
    assert.deepEqual(result, { sum: job.data.a + job.data.b });
  }
  assert.equal(await queue.getJobCountByTypes('failed', 'active', 'waiting', 'delayed', 'prioritized'), 0);
});
