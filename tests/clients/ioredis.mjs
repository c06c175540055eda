// ioredis: pipelines, transactions, scripts, streams, blocking reads, publish/subscribe, scans, buffers; and its
// Cluster class. A node is restarted while clients are connected to it.
import Redis from 'ioredis';
import { assert, ports, run, tell, until } from './scenario.mjs';

run(async () => {
  const [a, b] = ports.map((port) => new Redis(port, '127.0.0.1'));
  assert.equal(await a.set('key', 'value', 'EX', 100, 'NX'), 'OK');
  assert.equal(await a.get('key'), 'value');
  await until('the other node has it', async () => (await b.get('key')) === 'value');
  assert.deepEqual(await a.getBuffer('key'), Buffer.from('value'));
  const bytes = Buffer.from([0, 255, 13, 10, 128]);
  await a.set(bytes, bytes);
  assert.deepEqual(await a.getBuffer(bytes), bytes);

  await a.hset('hash', { name: 'x', size: 3 });
  assert.deepEqual(await a.hgetall('hash'), { name: 'x', size: '3' });
  await a.zadd('board', 1, 'one', 2, 'two', 3, 'three');
  assert.deepEqual(await a.zrange('board', '(1', '+inf', 'BYSCORE', 'WITHSCORES'), ['two', '2', 'three', '3']);

  const pipeline = a.pipeline();
  for (let i = 0; i < 1000; i++) pipeline.incr('count');
  const replies = await pipeline.exec();
  assert.deepEqual(replies.at(-1), [null, 1000]);

  assert.deepEqual(await a.multi().set('t', 1).incr('t').lpush('t', 1).get('t').exec().then((all) =>
    all.map(([error, value]) => (error ? error.message.split(' ')[0] : value))), ['OK', 2, 'WRONGTYPE', '2']);
  await a.watch('t');
  await a.duplicate().set('t', 5);
  assert.equal(await a.multi().set('t', 6).exec(), null);

  a.defineCommand('addUp', {
    numberOfKeys: 2,
    lua: `local sum = 0
          for i, key in ipairs(KEYS) do sum = sum + tonumber(redis.call('get', key) or 0) end
          return {sum, ARGV[1], cjson.encode({n = sum})}`,
  });
  await a.mset('{n}x', 2, '{n}y', 3);
  assert.deepEqual(await a.addUp('{n}x', '{n}y', 'word'), [5, 'word', '{"n":5}']);

  const waiting = a.duplicate();
  const popped = waiting.blpop('jobs', 'more', 10);
  await a.rpush('jobs', 'first');
  assert.deepEqual(await popped, ['jobs', 'first']);

  await a.xgroup('CREATE', 'events', 'group', '$', 'MKSTREAM');
  const read = waiting.xreadgroup('GROUP', 'group', 'c1', 'COUNT', 10, 'BLOCK', 10000, 'STREAMS', 'events', '>');
  const id = await a.xadd('events', '*', 'field', 'value');
  assert.deepEqual(await read, [['events', [[id, ['field', 'value']]]]]);
  assert.equal(await a.xack('events', 'group', id), 1);

  const subscriber = b.duplicate();
  const heard = [];
  subscriber.on('message', (channel, message) => heard.push([channel, message]));
  subscriber.on('pmessage', (pattern, channel, message) => heard.push([pattern, channel, message]));
  await subscriber.subscribe('news');
  await subscriber.psubscribe('n?ws');
  await until('both subscriptions hear it', async () => {
    await a.publish('news', 'hello');
    return heard.length >= 2;
  });
  assert.deepEqual(heard.slice(0, 2), [['news', 'hello'], ['n?ws', 'news', 'hello']]);

  const many = a.pipeline();
  for (let i = 0; i < 500; i++) many.set(`scan:${i}`, i);
  await many.exec();
  const found = new Set();
  for await (const keys of a.scanStream({ match: 'scan:*', count: 50 })) keys.forEach((key) => found.add(key));
  assert.equal(found.size, 500);

  const cluster = new Redis.Cluster(ports.map((port) => ({ host: '127.0.0.1', port })));
  for (let i = 0; i < 100; i++) await cluster.set(`routed:${i}`, i);
  const values = await Promise.all([...Array(100).keys()].map((i) => cluster.get(`routed:${i}`)));
  assert.deepEqual(values, [...Array(100).keys()].map(String));

  // What is asked while the node is away is asked once more when it is there again.
  await tell('restart n1');
  const counted = [];
  for (let i = 0; i < 200; i++) counted.push(a.set(`after:${i}`, i));
  assert.ok((await Promise.all(counted)).every((reply) => reply === 'OK'));
  assert.equal(await a.get('after:199'), '199');
  for (let i = 0; i < 100; i++) assert.equal(await cluster.get(`routed:${i}`), String(i));
});
