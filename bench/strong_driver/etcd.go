package main

import (
	"context"
	"fmt"
	"math/rand"
	"strings"
	"sync"
	"time"

	"go.etcd.io/etcd/clientv3"
)

// connectEtcd makes at most `connections` client objects, which the clients share, and returns what
// carries out the load. Each object is connected to all nodes, and sends its requests to them in
// turn: so etcd's library does it.
func connectEtcd(l *load, connections int) func() []tally {
	if connections > l.clients {
		connections = l.clients
	}
	objects := make([]*clientv3.Client, connections)
	for i := range objects {
		object, err := clientv3.New(clientv3.Config{Endpoints: l.endpoints, DialTimeout: 10 * time.Second})
		if err != nil {
			fail(err)
		}
		objects[i] = object
	}
	return func() []tally {
		tallies := make([]tally, l.clients)
		var running sync.WaitGroup
		for i := range tallies {
			running.Add(1)
			go func(i int) {
				defer running.Done()
				tallies[i] = etcdClient(l, objects[i%len(objects)], i)
			}(i)
		}
		running.Wait()
		return tallies
	}
}

func etcdClient(l *load, client *clientv3.Client, number int) tally {
	result := newTally(l)
	random := rand.New(rand.NewSource(int64(number)))
	rest := strings.Repeat("x", l.valueBytes-valueDigits)
	for writes := 0; ; writes++ {
		sent := time.Now()
		key, more := l.next(random, sent)
		if !more {
			return result
		}
		problem := ""
		if l.operation == put {
			value := fmt.Sprintf("%0*d", valueDigits, writes) + rest
			if _, err := client.Put(context.Background(), l.key(key), value); err != nil {
				problem = err.Error()
			}
		} else {
			reply, err := client.Get(context.Background(), l.key(key))
			if err != nil {
				problem = err.Error()
			} else if len(reply.Kvs) != 1 || len(reply.Kvs[0].Value) != l.valueBytes {
				problem = "not a value of the right size"
			}
		}
		result.note(l, sent, time.Now(), problem)
	}
}
