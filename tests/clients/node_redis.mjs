// The npm package redis: RESP2 and RESP3, typed replies, transactions, iterators, publish/subscribe with shards, and the
// client of clusters.
import { createClient, createCluster, WatchError } from 'redis';
import { assert, ports, run, tell, until } from './scenario.mjs';

async function client(port, options = {}) {
  return createClient({ url: `redis://127.0.0.1:${port}`, ...options }).on('error', () => {}).connect();
}

run(async () => {
  for (const RESP of [2, 3]) {
    const a = await client(ports[0], { RESP });
    const name = (key) => `${RESP}:${key}`;
    assert.equal(await a.set(name('key'), 'value', { expiration: { type: 'EX', value: 100 } }), 'OK');
    assert.ok((await a.ttl(name('key'))) > 90);
    assert.equal(await a.hSet(name('hash'), { f: 'v', g: 'w' }), 2);
    assert.deepEqual({ ...(await a.hGetAll(name('hash'))) }, { f: 'v', g: 'w' });
    await a.zAdd(name('board'), [{ score: 1.5, value: 'x' }, { score: 2, value: 'y' }]);
    assert.deepEqual(await a.zRangeWithScores(name('board'), 0, -1),
      [{ value: 'x', score: 1.5 }, { value: 'y', score: 2 }]);
    await a.sAdd(name('set'), ['p', 'q']);
    assert.deepEqual([...(await a.sMembers(name('set')))].sort(), ['p', 'q']);
    assert.deepEqual(await a.multi().set(name('t'), '1').incr(name('t')).get(name('t')).exec(), ['OK', 2, '2']);
    await a.watch(name('t'));
    const other = await client(ports[0]);
    await other.set(name('t'), '9');
    await assert.rejects(a.multi().set(name('t'), '3').exec(), WatchError);
    assert.equal(await a.get(name('t')), '9');

    for (let i = 0; i < 300; i++) await a.set(name(`scan:${i}`), String(i));
    let found = 0;
    for await (const keys of a.scanIterator({ MATCH: name('scan:*'), COUNT: 40 })) found += keys.length;
    assert.equal(found, 300);

    const id = await a.xAdd(name('events'), '*', { field: 'value' });
    await a.xGroupCreate(name('events'), 'group', '0');
    const given = await a.xReadGroup('group', 'c', { key: name('events'), id: '>' }, { COUNT: 5 });
    if (RESP === 2) {
      assert.equal(given[0].messages[0].id, id);
      assert.deepEqual({ ...given[0].messages[0].message }, { field: 'value' });
    } else {
      // The package gives this reply as it comes.
      assert.deepEqual({ ...given }, { [name('events')]: [[id, ['field', 'value']]] });
    }
    assert.equal(await a.xAck(name('events'), 'group', id), 1);
    assert.deepEqual(await a.eval('return {KEYS[1], ARGV[1]}', { keys: [name('k')], arguments: ['x'] }), [name('k'), 'x']);

    const subscriber = await client(ports[1], { RESP });
    const heard = [];
    await subscriber.subscribe(name('news'), (message) => heard.push(message));
    await subscriber.sSubscribe(name('shard'), (message) => heard.push(message));
    await until('both are heard', async () => {
      await a.publish(name('news'), 'plain');
      await a.sPublish(name('shard'), 'sharded');
      return heard.includes('plain') && heard.includes('sharded');
    });
    await Promise.all([subscriber.close(), other.close(), a.close()]);
  }

  const cluster = createCluster({ rootNodes: ports.map((port) => ({ url: `redis://127.0.0.1:${port}` })) });
  cluster.on('error', () => {});
  await cluster.connect();
  for (let i = 0; i < 100; i++) await cluster.set(`c:${i}`, String(i));
  for (let i = 0; i < 100; i++) assert.equal(await cluster.get(`c:${i}`), String(i));

  const a = await client(ports[0]);
  await tell('restart n1');
  assert.equal(await a.set('after', '1'), 'OK');
  assert.equal(await a.get('after'), '1');
});
