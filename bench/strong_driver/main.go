// Program strong_driver loads one cluster, Even's or etcd's, with one kind of operation from a fixed
// number of clients, each with one request under way, and says what came of it.
//
// Standard output has a line "begin" when the warm-up is over, so that whoever started the program
// can note what the servers had used by then, and at the end one line of JSON (see summary). Exit
// code 1: the cluster could not be reached or broke off.
//
// It is written in Go because etcd's own client library is.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"math/rand"
	"os"
	"sort"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

type operation int

const (
	put operation = iota
	get
)

// load is what all clients together are to do.
type load struct {
	operation  operation
	endpoints  []string // of all nodes, as host:port
	clients    int
	prefix     string
	keys       int
	valueBytes int
	fill       bool  // each key once, instead of random keys until the end
	filled     int64 // keys handed out so far; atomic
	begin, end time.Time
}

// next gives the number of the key to use now; false when there is nothing left to do.
func (l *load) next(random *rand.Rand, now time.Time) (int, bool) {
	if l.fill {
		key := int(atomic.AddInt64(&l.filled, 1)) - 1
		return key, key < l.keys
	}
	return random.Intn(l.keys), now.Before(l.end)
}

// key has the same length for all numbers.
func (l *load) key(number int) string {
	return fmt.Sprintf("%skey:%012d", l.prefix, number)
}

// tally is what one thread of the driver has seen. Only what ends between begin and end counts.
type tally struct {
	latencies []time.Duration // of operations that succeeded
	errors    int
	example   string // of the errors
}

func newTally(l *load) tally {
	// Room ahead, so that no array is copied while the clock runs.
	return tally{latencies: make([]time.Duration, 0, (1<<22)/l.clients)}
}

// note records an operation; problem is empty if it succeeded.
func (t *tally) note(l *load, sent, now time.Time, problem string) {
	if !l.fill && (now.Before(l.begin) || !now.Before(l.end)) {
		return
	}
	if problem != "" {
		t.errors++
		t.example = problem
		return
	}
	t.latencies = append(t.latencies, now.Sub(sent))
}

// summary is the line of JSON at the end.
type summary struct {
	Operations int     `json:"operations"` // that succeeded
	Errors     int     `json:"errors"`
	Example    string  `json:"example"` // of the errors
	Seconds    float64 `json:"seconds"`
	P50        float64 `json:"p50_ms"`
	P99        float64 `json:"p99_ms"`
	DriverCPU  float64 `json:"driver_cpu_seconds"` // what this program used meanwhile
}

func summarize(tallies []tally, seconds, cpu float64) summary {
	result := summary{Seconds: seconds, DriverCPU: cpu}
	var all []time.Duration
	for _, t := range tallies {
		all = append(all, t.latencies...)
		result.Errors += t.errors
		if t.example != "" {
			result.Example = t.example
		}
	}
	result.Operations = len(all)
	if len(all) > 0 {
		sort.Slice(all, func(i, j int) bool { return all[i] < all[j] })
		milliseconds := func(share float64) float64 {
			return float64(all[int(share*float64(len(all)-1))]) / float64(time.Millisecond)
		}
		result.P50, result.P99 = milliseconds(0.5), milliseconds(0.99)
	}
	return result
}

func cpuSeconds() float64 {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		fail(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano()).Seconds()
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "strong_driver:", err)
	os.Exit(1)
}

func usage(message string) {
	fmt.Fprintln(os.Stderr, "strong_driver:", message)
	os.Exit(2)
}

func main() {
	system := flag.String("system", "", "even or etcd")
	endpoints := flag.String("endpoints", "", "host:port of all nodes, separated by commas")
	what := flag.String("operation", "put", "put or get; or fill: put each key once")
	clients := flag.Int("clients", 64, "each has one request under way")
	connections := flag.Int("connections", 16, "etcd: at most so many client objects, which clients share")
	routes := flag.Bool("routes", false, "even: clients go to the node that CLUSTER SLOTS names for a key, not to one node each")
	prefix := flag.String("prefix", "", "of all keys")
	keys := flag.Int("keys", 10000, "number of keys")
	valueBytes := flag.Int("value-bytes", 100, "size of the values")
	warmUp := flag.Duration("warm-up", 2*time.Second, "load before the measurement")
	duration := flag.Duration("duration", 10*time.Second, "of the measurement")
	flag.Parse()

	l := load{
		endpoints: strings.Split(*endpoints, ","), clients: *clients, prefix: *prefix, keys: *keys,
		valueBytes: *valueBytes, fill: *what == "fill",
	}
	switch *what {
	case "put", "fill":
		l.operation = put
	case "get":
		l.operation = get
	default:
		usage("no such operation: " + *what)
	}
	if *clients < 1 || *connections < 1 || *keys < 1 || *valueBytes < valueDigits {
		usage(fmt.Sprintf("clients, connections and keys from 1, values from %d bytes", valueDigits))
	}
	var run func() []tally
	switch *system {
	case "even":
		run = connectEven(&l, *routes)
	case "etcd":
		run = connectEtcd(&l, *connections)
	default:
		usage("no such system: " + *system)
	}

	started := time.Now()
	l.begin = started.Add(*warmUp)
	l.end = l.begin.Add(*duration)
	done := make(chan []tally, 1)
	go func() { done <- run() }()
	seconds, cpu := duration.Seconds(), 0.0
	if !l.fill {
		time.Sleep(time.Until(l.begin))
		before := cpuSeconds()
		fmt.Println("begin")
		time.Sleep(time.Until(l.end))
		cpu = cpuSeconds() - before
	}
	tallies := <-done
	if l.fill {
		seconds = time.Since(started).Seconds()
	}
	if err := json.NewEncoder(os.Stdout).Encode(summarize(tallies, seconds, cpu)); err != nil {
		fail(err)
	}
}
