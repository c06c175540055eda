// A session store: express-session with connect-redis, one server beside each node. A session that is begun at one is
// known at the others, touched by each request, and gone for all of them after its end.
import { RedisStore } from 'connect-redis';
import express from 'express';
import session from 'express-session';
import { createClient } from 'redis';
import { assert, ports, run, until } from './scenario.mjs';

async function serve(port) {
  const client = await createClient({ url: `redis://127.0.0.1:${port}` }).on('error', () => {}).connect();
  const app = express();
  app.use(session({
    store: new RedisStore({ client, prefix: 'session:', ttl: 60 }), secret: 'secret', resave: false,
    saveUninitialized: false,
  }));
  app.get('/visit', (request, response) => {
    request.session.visits = (request.session.visits ?? 0) + 1;
    response.json(request.session.visits);
  });
  app.get('/peek', (request, response) => response.json(request.session.visits ?? null));
  app.get('/leave', (request, response) => request.session.destroy(() => response.json('left')));
  const server = await new Promise((listening) => {
    const it = app.listen(0, '127.0.0.1', () => listening(it));
  });
  return `http://127.0.0.1:${server.address().port}`;
}

run(async () => {
  const servers = await Promise.all(ports.map(serve));
  let cookie = '';
  const get = async (server, path) => {
    const response = await fetch(server + path, { headers: cookie ? { cookie } : {} });
    const set = response.headers.get('set-cookie');
    if (set) cookie = set.split(';')[0];
    return response.json();
  };
  assert.equal(await get(servers[0], '/visit'), 1);
  assert.ok(cookie.length > 20);
  for (let visits = 1; visits < 20; visits++) {
    const server = servers[visits % servers.length];
    await until('the session is known at the next server', async () => (await get(server, '/peek')) === visits);
    assert.equal(await get(server, '/visit'), visits + 1);
  }
  assert.equal(await get(servers[1], '/leave'), 'left');
  for (const server of servers) {
    await until('the session is over', async () => (await get(server, '/peek')) === null);
  }
});
