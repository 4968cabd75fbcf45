package conformance

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
)

// member is a living process of a group.
type member struct {
	pid      int
	threads  int
	resident int64
}

// groupOf finds the processes of a group.
func groupOf(group int) []member {
	entries, _ := os.ReadDir("/proc")
	want := []byte(strconv.Itoa(group))
	var found []member
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil {
			continue
		}
		stat, err := os.ReadFile("/proc/" + entry.Name() + "/stat")
		if err != nil {
			continue // ended meanwhile
		}
		// pid (name) state ppid pgrp … threads as the 20th, rss as the 24th
		// field; the name may hold anything.
		fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
		if len(fields) < 22 || !bytes.Equal(fields[2], want) || fields[0][0] == 'Z' || fields[0][0] == 'X' {
			continue
		}
		threads, _ := strconv.Atoi(string(fields[17]))
		pages, _ := strconv.ParseInt(string(fields[21]), 10, 64)
		found = append(found, member{pid: pid, threads: threads, resident: pages * int64(os.Getpagesize())})
	}
	return found
}

// usageOf adds up what the processes of a group have.
func usageOf(group int) (usage, bool) {
	var u usage
	if group == 0 {
		return u, false // it is in the caller's process
	}
	members := groupOf(group)
	for _, m := range members {
		u.threads += m.threads
		u.resident += m.resident
		sockets := u.look(m.pid)
		for _, table := range []string{"tcp", "tcp6"} {
			text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/net/%s", m.pid, table))
			u.listening = append(u.listening, listeners(string(text), sockets)...)
		}
	}
	slices.Sort(u.listening)
	u.listening = slices.Compact(u.listening)
	return u, len(members) > 0
}

// look counts a process's open files and returns the inodes of its sockets.
func (u *usage) look(pid int) (sockets map[string]bool) {
	sockets = make(map[string]bool)
	dir := fmt.Sprintf("/proc/%d/", pid)
	entries, _ := os.ReadDir(dir + "fd")
	for _, entry := range entries {
		to, err := os.Readlink(dir + "fd/" + entry.Name())
		if err != nil {
			continue
		}
		u.files++
		if inode, ok := strings.CutPrefix(to, "socket:["); ok {
			sockets[strings.TrimSuffix(inode, "]")] = true
		}
		if !strings.HasPrefix(to, "/") || strings.HasPrefix(to, "/dev/") || strings.HasPrefix(to, "/proc/") {
			continue
		}
		info, _ := os.ReadFile(dir + "fdinfo/" + entry.Name())
		_, flags, _ := strings.Cut(string(info), "flags:")
		flags, _, _ = strings.Cut(flags, "\n")
		if mode, err := strconv.ParseInt(strings.TrimSpace(flags), 8, 64); err == nil && mode&3 != int64(os.O_RDONLY) {
			u.written = append(u.written, to)
		}
	}
	return sockets
}

// listeners are the addresses in a table of the kernel that are listened on by
// one of the sockets.
func listeners(table string, sockets map[string]bool) []string {
	const listen = "0A"
	var found []string
	for line := range strings.Lines(table) {
		fields := strings.Fields(line)
		if len(fields) > 9 && fields[3] == listen && sockets[fields[9]] {
			found = append(found, kernelAddress(fields[1]))
		}
	}
	return found
}

// kernelAddress reads "0100007F:1F90": words in the machine's order, which is
// taken to be little-endian, and a port.
func kernelAddress(text string) string {
	host, port, _ := strings.Cut(text, ":")
	raw, err := hex.DecodeString(host)
	n, errPort := strconv.ParseUint(port, 16, 16)
	if err != nil || errPort != nil {
		return text
	}
	for word := range slices.Chunk(raw, 4) {
		slices.Reverse(word)
	}
	addr, ok := netip.AddrFromSlice(raw)
	if !ok {
		return text
	}
	return netip.AddrPortFrom(addr, uint16(n)).String()
}
