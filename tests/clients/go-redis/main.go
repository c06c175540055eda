// go-redis: pipelines, transactions, scripts, streams, blocking reads, publish/subscribe, scans; and its cluster client.
// A node is restarted while clients are connected to it. The ports of the nodes are the arguments.
package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

var (
	ctx   = context.Background()
	input = bufio.NewReader(os.Stdin)
)

func check(err error) {
	if err != nil {
		panic(err)
	}
}

func must[T any](value T, err error) T {
	check(err)
	return value
}

func equal(got, wanted any) {
	if !reflect.DeepEqual(got, wanted) {
		panic(fmt.Sprintf("got %#v, not %#v", got, wanted))
	}
}

// Polls until condition() is true.
func until(what string, condition func() bool) {
	for deadline := time.Now().Add(30 * time.Second); !condition(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			panic("not in 30 s: " + what)
		}
	}
}

// Tells the test that drives this process, and waits for its answer: a line for a line.
func tell(word string) {
	fmt.Println(word)
	must(input.ReadString('\n'))
}

func connect(port string, protocol int) *redis.Client {
	return redis.NewClient(&redis.Options{Addr: "127.0.0.1:" + port, Protocol: protocol, MaxRetries: 20,
		MaxRetryBackoff: time.Second, PoolSize: 10})
}

// All of it with one version of the protocol. `waiting`: a client for what waits.
func commands(a, b *redis.Client, name string) {
	key := func(parts ...string) string { return "{" + name + "}" + strings.Join(parts, ":") }

	equal(must(a.SetNX(ctx, key("key"), "value", 100*time.Second).Result()), true)
	until("the other node has it", func() bool { return b.Get(ctx, key("key")).Val() == "value" })
	_, err := a.Get(ctx, key("none")).Result()
	equal(errors.Is(err, redis.Nil), true)
	bytes := string([]byte{0, 255, 13, 10, 128})
	check(a.Set(ctx, key(bytes), bytes, 0).Err())
	equal(must(a.Get(ctx, key(bytes)).Bytes()), []byte(bytes))

	check(a.HSet(ctx, key("hash"), "name", "x", "size", 3).Err())
	var fields struct {
		Name string `redis:"name"`
		Size int    `redis:"size"`
	}
	check(a.HGetAll(ctx, key("hash")).Scan(&fields))
	equal(fields.Size, 3)
	equal(must(a.HExpire(ctx, key("hash"), time.Minute, "name").Result()), []int64{1})

	check(a.ZAdd(ctx, key("board"), redis.Z{Score: 1, Member: "one"}, redis.Z{Score: 2.5, Member: "two"}).Err())
	equal(must(a.ZRangeArgsWithScores(ctx, redis.ZRangeArgs{Key: key("board"), Start: "(1", Stop: "+inf", ByScore: true}).Result()),
		[]redis.Z{{Score: 2.5, Member: "two"}})
	equal(must(a.ZRankWithScore(ctx, key("board"), "two").Result()), redis.RankScore{Rank: 1, Score: 2.5})

	counts := must(a.Pipelined(ctx, func(pipe redis.Pipeliner) error {
		for i := 0; i < 1000; i++ {
			pipe.Incr(ctx, key("count"))
		}
		return nil
	}))
	equal(counts[999].(*redis.IntCmd).Val(), int64(1000))

	// A transaction that is tried again until nobody has come between.
	tries := 0
	for done := false; !done; {
		err := a.Watch(ctx, func(tx *redis.Tx) error {
			n := must(tx.Get(ctx, key("count")).Int())
			if tries++; tries == 1 {
				check(a.Incr(ctx, key("count")).Err())
			}
			_, err := tx.TxPipelined(ctx, func(pipe redis.Pipeliner) error {
				pipe.Set(ctx, key("count"), 2*n, 0)
				return nil
			})
			return err
		}, key("count"))
		if done = err == nil; !done && !errors.Is(err, redis.TxFailedErr) {
			panic(err)
		}
	}
	equal(tries, 2)
	equal(must(a.Get(ctx, key("count")).Int()), 2002)

	script := redis.NewScript(`local sum = 0
		for _, key in ipairs(KEYS) do sum = sum + tonumber(redis.call('get', key) or 0) end
		return {sum, ARGV[1], cjson.encode({n = sum})}`)
	check(a.MSet(ctx, key("x"), 2, key("y"), 3).Err())
	equal(must(script.Run(ctx, a, []string{key("x"), key("y")}, "word").Slice()), []any{int64(5), "word", `{"n":5}`})

	popped := make(chan []string)
	go func() { popped <- must(a.BLPop(ctx, 10*time.Second, key("jobs"), key("more")).Result()) }()
	until("it waits", func() bool { return strings.Contains(a.Info(ctx, "clients").Val(), "blocked_clients:1\r\n") })
	check(a.RPush(ctx, key("jobs"), "first").Err())
	equal(<-popped, []string{key("jobs"), "first"})

	check(a.XGroupCreateMkStream(ctx, key("events"), "group", "$").Err())
	id := must(a.XAdd(ctx, &redis.XAddArgs{Stream: key("events"), Values: []string{"field", "value"}}).Result())
	read := must(a.XReadGroup(ctx, &redis.XReadGroupArgs{Group: "group", Consumer: "c", Streams: []string{key("events"), ">"},
		Block: 10 * time.Second}).Result())
	equal(read[0].Messages[0].ID, id)
	equal(read[0].Messages[0].Values, map[string]any{"field": "value"})
	equal(must(a.XPending(ctx, key("events"), "group").Result()).Consumers, map[string]int64{"c": 1})
	equal(must(a.XAck(ctx, key("events"), "group", id).Result()), int64(1))
	equal(must(a.XInfoGroups(ctx, key("events")).Result())[0].Pending, int64(0))

	subscriber := b.PSubscribe(ctx, key("n?ws"))
	must(subscriber.Receive(ctx))
	heard := subscriber.Channel()
	var message *redis.Message
	until("a message is heard", func() bool {
		check(a.Publish(ctx, key("news"), "hello").Err())
		select {
		case message = <-heard:
		case <-time.After(100 * time.Millisecond):
		}
		return message != nil
	})
	equal([]string{message.Pattern, message.Channel, message.Payload}, []string{key("n?ws"), key("news"), "hello"})
	check(subscriber.Close())

	many := a.Pipeline()
	for i := 0; i < 500; i++ {
		many.Set(ctx, key("scan", strconv.Itoa(i)), i, 0)
	}
	must(many.Exec(ctx))
	found := map[string]bool{}
	for keys := a.Scan(ctx, 0, "{"+name+"}scan:*", 50).Iterator(); keys.Next(ctx); {
		found[keys.Val()] = true
	}
	equal(len(found), 500)
}

func main() {
	ports := os.Args[1:]
	a, b := connect(ports[0], 3), connect(ports[1], 3)
	commands(connect(ports[0], 2), connect(ports[1], 2), "resp2")
	commands(a, b, "resp3")

	var addresses []string
	for _, port := range ports {
		addresses = append(addresses, "127.0.0.1:"+port)
	}
	cluster := redis.NewClusterClient(&redis.ClusterOptions{Addrs: addresses, MaxRedirects: 20, MaxRetryBackoff: time.Second})
	routed := func(i int) string { return "routed:" + strconv.Itoa(i) }
	for i := 0; i < 100; i++ {
		check(cluster.Set(ctx, routed(i), i, 0).Err())
	}
	pipe := cluster.Pipeline()
	for i := 0; i < 100; i++ {
		pipe.Get(ctx, routed(i))
	}
	for i, reply := range must(pipe.Exec(ctx)) {
		equal(reply.(*redis.StringCmd).Val(), strconv.Itoa(i))
	}
	nodes := make(chan string, 100)
	check(cluster.ForEachMaster(ctx, func(ctx context.Context, node *redis.Client) error {
		nodes <- node.Options().Addr
		return node.Ping(ctx).Err()
	}))
	equal(len(nodes), len(ports))

	// What is asked while the node is away is asked once more when it is there again. Counting is not safe to repeat, to set is.
	tell("restart n1")
	for i := 0; i < 200; i++ {
		check(a.Set(ctx, "after:"+strconv.Itoa(i), i, 0).Err())
	}
	equal(must(a.Get(ctx, "after:199").Result()), "199")
	for i := 0; i < 100; i++ {
		equal(must(cluster.Get(ctx, routed(i)).Result()), strconv.Itoa(i))
		check(cluster.Set(ctx, routed(i), -i, 0).Err())
	}
	for i := 0; i < 100; i++ {
		until("all nodes have it", func() bool { return b.Get(ctx, routed(i)).Val() == strconv.Itoa(-i) })
	}
	fmt.Println("done")
}
