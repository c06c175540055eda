// franz-go as test_topic_clients.py uses it: a program that does what it is told to until its standard input ends.
//
//	produce TOPIC PARTITIONS SETTING=VALUE...   0, 1, 2, ... to the partitions in turn: "acknowledged N", at last "sent N"
//	member TOPIC SETTING=VALUE...               in a group: "has P ...", "record P OFFSET VALUE", "committed P OFFSET"
//	transform SERVERS GROUP IN OUT ID           squares numbers, within transactions that commit what was consumed as well
//
// Settings have the names that Kafka has for them.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"sort"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

var (
	ending atomic.Bool
	saying sync.Mutex
)

func say(format string, arguments ...any) {
	saying.Lock()
	defer saying.Unlock()
	fmt.Printf(format+"\n", arguments...)
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		say("failed %v", err)
		os.Exit(1)
	}
}

func options(arguments []string, own ...kgo.Opt) []kgo.Opt {
	all := append(own, kgo.WithLogger(kgo.BasicLogger(os.Stderr, kgo.LogLevelInfo, func() string {
		return time.Now().Format("15:04:05.000 ")
	})))
	for _, argument := range arguments {
		name, value, _ := strings.Cut(argument, "=")
		switch name {
		case "bootstrap.servers":
			all = append(all, kgo.SeedBrokers(strings.Split(value, ",")...))
		case "group.id":
			all = append(all, kgo.ConsumerGroup(value))
		default:
			check(fmt.Errorf("no such setting: %s", name))
		}
	}
	return all
}

func produce(topic string, partitions int, arguments []string) {
	client, err := kgo.NewClient(options(arguments, kgo.RecordPartitioner(kgo.ManualPartitioner()))...)
	check(err)
	var acknowledged atomic.Int64
	sent := 0
	for ; !ending.Load(); sent++ {
		record := &kgo.Record{Topic: topic, Partition: int32(sent % partitions), Value: []byte(strconv.Itoa(sent))}
		client.Produce(context.Background(), record, func(_ *kgo.Record, err error) {
			check(err)
			if now := acknowledged.Add(1); now%500 == 0 {
				say("acknowledged %d", now)
			}
		})
		if sent%2 == 0 {
			time.Sleep(time.Millisecond)
		}
	}
	check(client.Flush(context.Background()))
	client.Close()
	say("sent %d", sent)
}

func member(topic string, arguments []string) {
	var lock sync.Mutex
	has := map[int32]bool{}
	change := func(partitions []int32, assigned bool) {
		lock.Lock()
		defer lock.Unlock()
		for _, partition := range partitions {
			if assigned {
				has[partition] = true
			} else {
				delete(has, partition)
			}
		}
		var words []string
		for partition := range has {
			words = append(words, strconv.Itoa(int(partition)))
		}
		sort.Strings(words)
		say("has %s", strings.Join(words, " "))
	}
	// With franz-go's own way of sharing out, which is cooperative.
	client, err := kgo.NewClient(options(arguments, kgo.ConsumeTopics(topic), kgo.DisableAutoCommit(),
		kgo.BlockRebalanceOnPoll(), kgo.SessionTimeout(6*time.Second), kgo.HeartbeatInterval(500*time.Millisecond),
		kgo.OnPartitionsAssigned(func(_ context.Context, _ *kgo.Client, assigned map[string][]int32) {
			change(assigned[topic], true)
		}),
		kgo.OnPartitionsRevoked(func(_ context.Context, _ *kgo.Client, revoked map[string][]int32) {
			change(revoked[topic], false)
		}),
		kgo.OnPartitionsLost(func(_ context.Context, _ *kgo.Client, lost map[string][]int32) {
			change(lost[topic], false)
		}))...)
	check(err)
	for !ending.Load() {
		fetches := poll(client.PollFetches)
		records := fetches.Records()
		behind := map[int32]int64{}
		for _, record := range records {
			say("record %d %d %s", record.Partition, record.Offset, record.Value)
			behind[record.Partition] = record.Offset + 1
		}
		if len(records) > 0 {
			if err := client.CommitRecords(context.Background(), records...); err != nil {
				say("failed %v", err)
			} else {
				for partition, offset := range behind {
					say("committed %d %d", partition, offset)
				}
			}
		}
		client.AllowRebalance()
	}
	client.CloseAllowingRebalance()
	say("left")
}

func poll(fetch func(context.Context) kgo.Fetches) kgo.Fetches {
	patience, stop := context.WithTimeout(context.Background(), 200*time.Millisecond)
	defer stop()
	return fetch(patience)
}

func transform(servers, group, source, target, id string) {
	for !ending.Load() {
		session, err := kgo.NewGroupTransactSession(options([]string{"bootstrap.servers=" + servers, "group.id=" + group},
			kgo.TransactionalID(id), kgo.TransactionTimeout(10*time.Second), kgo.ConsumeTopics(source),
			kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.RecordPartitioner(kgo.ManualPartitioner()),
			kgo.SessionTimeout(6*time.Second), kgo.HeartbeatInterval(500*time.Millisecond))...)
		check(err)
		if err := transformUntilError(session, target); err != nil {
			say("again %v", err)
		}
		session.Close()
	}
	say("left")
}

func transformUntilError(session *kgo.GroupTransactSession, target string) error {
	for !ending.Load() {
		fetches := poll(session.PollFetches)
		records := fetches.Records()
		if len(records) == 0 {
			continue
		}
		if err := session.Begin(); err != nil {
			return err
		}
		var failed atomic.Pointer[error]
		for _, record := range records {
			number, err := strconv.Atoi(string(record.Value))
			check(err)
			value := fmt.Sprintf("%d %d", number, number*number)
			session.Produce(context.Background(), &kgo.Record{Topic: target, Partition: record.Partition, Value: []byte(value)},
				func(_ *kgo.Record, err error) {
					if err != nil {
						failed.Store(&err)
					}
				})
		}
		if err := session.Client().Flush(context.Background()); err != nil {
			return err
		}
		committed, err := session.End(context.Background(), kgo.TransactionEndTry(failed.Load() == nil))
		if err != nil {
			return err
		}
		// One that was aborted begins again behind what was committed last.
		if committed {
			say("committed %d", len(records))
		}
	}
	return nil
}

func main() {
	go func() {
		_, err := io.Copy(io.Discard, os.Stdin)
		check(err)
		ending.Store(true)
	}()
	arguments := os.Args[2:]
	switch os.Args[1] {
	case "produce":
		partitions, err := strconv.Atoi(arguments[1])
		check(err)
		produce(arguments[0], partitions, arguments[2:])
	case "member":
		member(arguments[0], arguments[1:])
	case "transform":
		transform(arguments[0], arguments[1], arguments[2], arguments[3], arguments[4])
	default:
		check(fmt.Errorf("no such program: %s", os.Args[1]))
	}
}
