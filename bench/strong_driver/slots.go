package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
)

const slotCount = 16384

// nodesOfKeys asks a node for CLUSTER SLOTS, and says for each key which endpoint is its slot's.
func nodesOfKeys(l *load) []int {
	nodeOfSlot, err := askForSlots(l.endpoints)
	if err != nil {
		fail(fmt.Errorf("CLUSTER SLOTS: %w", err))
	}
	result := make([]int, l.keys)
	for i := range result {
		result[i] = nodeOfSlot[slotOf(l.key(i))]
	}
	return result
}

func askForSlots(endpoints []string) ([]int, error) {
	link, err := net.Dial("tcp4", endpoints[0])
	if err != nil {
		return nil, err
	}
	defer link.Close()
	if _, err := link.Write([]byte("*2\r\n$7\r\nCLUSTER\r\n$5\r\nSLOTS\r\n")); err != nil {
		return nil, err
	}
	reply, err := readReply(bufio.NewReader(link))
	if err != nil {
		return nil, err
	}
	ranges, _ := reply.([]any)
	result := make([]int, slotCount)
	known := 0
	for _, each := range ranges {
		fields, _ := each.([]any)
		if len(fields) < 3 {
			return nil, fmt.Errorf("a range of %d fields", len(fields))
		}
		first, last, node := fields[0].(int), fields[1].(int), fields[2].([]any)
		at := -1
		for i, endpoint := range endpoints {
			if strings.HasSuffix(endpoint, fmt.Sprintf(":%d", node[1])) {
				at = i
			}
		}
		if at < 0 || first < 0 || last >= slotCount {
			return nil, fmt.Errorf("slots %d to %d are at %v", first, last, node)
		}
		for slot := first; slot <= last; slot++ {
			result[slot] = at
			known++
		}
	}
	if known != slotCount {
		return nil, fmt.Errorf("%d slots of %d", known, slotCount)
	}
	return result, nil
}

// readReply reads a RESP2 reply: an int, a string or a slice of such.
func readReply(from *bufio.Reader) (any, error) {
	line, err := from.ReadString('\n')
	if err != nil {
		return nil, err
	}
	line = strings.TrimSuffix(line, "\r\n")
	if line == "" {
		return nil, fmt.Errorf("an empty line")
	}
	if line[0] == '-' {
		return nil, fmt.Errorf("%s", line[1:])
	}
	number, err := strconv.Atoi(line[1:])
	if line[0] == '+' || err != nil {
		return line[1:], nil
	}
	switch line[0] {
	case ':':
		return number, nil
	case '$':
		if number < 0 {
			return "", nil
		}
		text := make([]byte, number+2)
		_, err := io.ReadFull(from, text)
		return string(text[:number]), err
	case '*':
		var all []any
		for i := 0; i < number; i++ {
			one, err := readReply(from)
			if err != nil {
				return nil, err
			}
			all = append(all, one)
		}
		return all, nil
	}
	return nil, fmt.Errorf("not a reply: %q", line)
}

// slotOf gives a key's slot, CRC16 as XMODEM has it; keys of this program have no hash tags.
func slotOf(key string) int {
	crc := uint16(0)
	for i := 0; i < len(key); i++ {
		crc ^= uint16(key[i]) << 8
		for bit := 0; bit < 8; bit++ {
			if crc&0x8000 != 0 {
				crc = crc<<1 ^ 0x1021
			} else {
				crc <<= 1
			}
		}
	}
	return int(crc) % slotCount
}
