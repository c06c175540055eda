package main

import (
	"bytes"
	"fmt"
	"math/rand"
	"net"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// valueDigits is how much of a value differs from one put to the next.
const valueDigits = 12

// connection is one client of Even. Its request is built once; then only digits change.
type connection struct {
	sockets []int // to the nodes; where it goes to one only, whatever the key: to that
	request []byte
	asked   int    // the socket that the request under way went to
	key     []byte // the digits of the key, within request
	value   []byte // the digits of the value, within request; none for get
	reply   []byte // what has come of it so far
	sent    time.Time
}

// evenClients has all connections served by one thread, as redis-benchmark has: a goroutine for each
// would cost more than the requests do.
type evenClients struct {
	load        *load
	poll        int
	connections []connection
	nodeOfKey   []int // the index of a key's socket; none: each connection has one
	random      *rand.Rand
	writes      int
	tally       tally
}

// connectEven opens the connections and returns what carries out the load. Each client either goes to
// one node, whichever that is, or, as a client that knows Redis Cluster does, to the one that CLUSTER
// SLOTS names for the key.
func connectEven(l *load, routes bool) func() []tally {
	poll, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
	if err != nil {
		fail(err)
	}
	c := &evenClients{load: l, poll: poll, random: rand.New(rand.NewSource(1)), tally: newTally(l)}
	if routes {
		c.nodeOfKey = nodesOfKeys(l)
	}
	c.connections = make([]connection, l.clients)
	for i := range c.connections {
		c.connections[i] = c.connection()
		endpoints := l.endpoints
		if !routes {
			at := i % len(endpoints)
			endpoints = endpoints[at : at+1]
		}
		for _, endpoint := range endpoints {
			if err := c.open(i, endpoint); err != nil {
				fail(fmt.Errorf("%s: %w", endpoint, err))
			}
		}
	}
	return c.run
}

func (c *evenClients) open(index int, endpoint string) error {
	address, err := net.ResolveTCPAddr("tcp4", endpoint)
	if err != nil {
		return err
	}
	socket, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	to := syscall.SockaddrInet4{Port: address.Port}
	copy(to.Addr[:], address.IP.To4())
	if err := syscall.Connect(socket, &to); err != nil {
		return err
	}
	if err := syscall.SetsockoptInt(socket, syscall.IPPROTO_TCP, syscall.TCP_NODELAY, 1); err != nil {
		return err
	}
	if err := syscall.SetNonblock(socket, true); err != nil {
		return err
	}
	event := syscall.EpollEvent{Events: syscall.EPOLLIN, Fd: int32(index)}
	if err := syscall.EpollCtl(c.poll, syscall.EPOLL_CTL_ADD, socket, &event); err != nil {
		return err
	}
	one := &c.connections[index]
	one.sockets = append(one.sockets, socket)
	return nil
}

func (c *evenClients) connection() connection {
	key := c.load.key(0)
	words := []string{"GET", key}
	if c.load.operation == put {
		words = []string{"SET", key, string(bytes.Repeat([]byte("x"), c.load.valueBytes))}
	}
	request := []byte(fmt.Sprintf("*%d\r\n", len(words)))
	for _, word := range words {
		request = append(request, fmt.Sprintf("$%d\r\n%s\r\n", len(word), word)...)
	}
	result := connection{request: request}
	end := bytes.Index(request, []byte(key)) + len(key)
	result.key = request[end-12 : end]
	if c.load.operation == put {
		begin := len(request) - len("\r\n") - c.load.valueBytes
		result.value = request[begin : begin+valueDigits]
	}
	return result
}

// digits writes a number with leading zeros.
func digits(to []byte, number int) {
	for i := len(to) - 1; i >= 0; i-- {
		to[i] = byte('0' + number%10)
		number /= 10
	}
}

func (c *evenClients) run() []tally {
	busy := 0
	for i := range c.connections {
		if c.send(&c.connections[i], time.Now()) {
			busy++
		}
	}
	events := make([]syscall.EpollEvent, len(c.connections))
	buffer := make([]byte, 64*1024)
	for busy > 0 {
		count, err := syscall.EpollWait(c.poll, events, -1)
		if err == syscall.EINTR {
			continue
		} else if err != nil {
			fail(err)
		}
		for _, event := range events[:count] {
			one := &c.connections[event.Fd]
			if c.receive(one, buffer) && !c.send(one, time.Now()) {
				busy--
			}
		}
	}
	return []tally{c.tally}
}

// send sends the next request; false if there is none.
func (c *evenClients) send(one *connection, now time.Time) bool {
	key, more := c.load.next(c.random, now)
	if !more {
		return false
	}
	digits(one.key, key)
	if one.value != nil {
		c.writes++
		digits(one.value, c.writes)
	}
	one.asked = one.sockets[0]
	if c.nodeOfKey != nil {
		one.asked = one.sockets[c.nodeOfKey[key]]
	}
	one.sent = now
	// A request is small and nothing else is in the socket's buffer: it goes in one piece.
	if n, err := syscall.Write(one.asked, one.request); err != nil || n != len(one.request) {
		fail(fmt.Errorf("sending: %d bytes, %v", n, err))
	}
	return true
}

// receive reads what has come; true when the reply is complete, which is then noted.
func (c *evenClients) receive(one *connection, buffer []byte) bool {
	n, err := syscall.Read(one.asked, buffer)
	if err == syscall.EAGAIN || err == syscall.EINTR {
		return false
	} else if err != nil || n == 0 {
		fail(fmt.Errorf("a server closed the connection (%v)", err))
	}
	reply := buffer[:n]
	if len(one.reply) > 0 {
		one.reply = append(one.reply, reply...)
		reply = one.reply
	}
	complete, problem := c.load.judge(reply)
	if !complete {
		if len(one.reply) == 0 {
			one.reply = append(one.reply, reply...)
		}
		return false
	}
	one.reply = one.reply[:0]
	c.tally.note(c.load, one.sent, time.Now(), problem)
	return true
}

// judge says whether a reply is complete and, if it is not what the operation should give, why.
func (l *load) judge(reply []byte) (complete bool, problem string) {
	line := bytes.Index(reply, []byte("\r\n"))
	if line < 0 {
		return false, ""
	}
	first := string(reply[:line])
	switch {
	case strings.HasPrefix(first, "-"):
		return true, first[1:]
	case l.operation == put && first == "+OK":
		return true, ""
	case l.operation == get && first == "$-1":
		return true, "no value"
	case l.operation == get && strings.HasPrefix(first, "$"):
		length, err := strconv.Atoi(first[1:])
		if err != nil {
			break
		}
		if length != l.valueBytes {
			problem = "a value of the wrong size"
		}
		return len(reply) == line+2+length+2, problem
	}
	fail(fmt.Errorf("not a reply to the request: %q", reply))
	return true, ""
}
