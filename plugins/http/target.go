package http

import (
	"errors"
	"net/url"
	"strconv"
	"strings"
	"unicode/utf8"

	"mpush/sdk/packet"
)

// target is whom a path names.
type target struct{ sendType, name string }

func (t target) complete(s packet.Send) packet.Send {
	s.SendType, s.Target = t.sendType, t.name
	return s
}

// parseTarget reads the last segment of the path of a request. ok is false if
// it names nobody; err tells what is wrong with the name. The segment is
// decoded after it is cut off, so a name may hold an escaped slash.
func parseTarget(uri string) (t target, ok bool, err error) {
	path, _, _ := strings.Cut(uri, "?")
	segment, err := url.PathUnescape(path[strings.LastIndexByte(path, '/')+1:])
	if err != nil {
		return t, false, errors.New("path: invalid percent-encoding")
	}
	if t.name, ok = strings.CutSuffix(segment, ".send"); ok {
		t.sendType = packet.Personal
	} else if t.name, ok = strings.CutSuffix(segment, ".group"); ok {
		t.sendType = packet.Group
	}
	if !utf8.ValidString(segment) {
		return t, ok, errors.New("path: not valid UTF-8")
	}
	if ok {
		err = packet.CheckName("path", t.name)
	}
	return t, ok, err
}

// parseStatus reads the last segment of a path that asks for a message's status.
func parseStatus(uri string) (mid int64, ok bool, err error) {
	path, _, _ := strings.Cut(uri, "?")
	digits, ok := strings.CutSuffix(path[strings.LastIndexByte(path, '/')+1:], ".status")
	if !ok {
		return 0, false, nil
	}
	if mid, err = strconv.ParseInt(digits, 10, 64); err != nil || mid <= 0 {
		return 0, true, errors.New("path: expected /MID.status with the mid of a message")
	}
	return mid, true, nil
}
