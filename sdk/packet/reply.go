package packet

import (
	"maps"
	"slices"
	"strconv"
)

// Status is one receiver's status word.
type Status struct {
	Receiver string // a name
	Status   string // a word of the wire
}

// AppendReply appends the MESSAGE_REPLY packet: the statuses under "status",
// and beside it for clients that read the receivers' names there. A receiver
// called "mid" or "status" stands in "status" only. A mid of 0 is left out:
// nothing was stored.
func AppendReply[S ~struct{ Receiver, Status string }](dst []byte, mid int64, statuses []S) []byte {
	dst = append(dst, `{"cmd":"MESSAGE_REPLY","data":{`...)
	if mid != 0 {
		dst = append(dst, `"mid":"`...)
		dst = strconv.AppendInt(dst, mid, 10)
		dst = append(dst, `",`...)
	}
	dst = append(dst, `"status":{`...)
	for i, s := range statuses {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendStatus(dst, Status(s))
	}
	dst = append(dst, '}')
	for _, s := range statuses {
		s := Status(s)
		if s.Receiver == "mid" || s.Receiver == "status" {
			continue
		}
		dst = append(dst, ',')
		dst = appendStatus(dst, s)
	}
	return append(dst, `}}`...)
}

func appendStatus(dst []byte, s Status) []byte {
	dst = AppendString(dst, s.Receiver)
	dst = append(dst, ':')
	return AppendString(dst, s.Status)
}

// AppendSession appends the AUTH packet of a success, with the fields that
// channels announce. Their values are JSON; one that is not, or whose name the
// packet itself uses, is left out.
func AppendSession(dst []byte, auth string, announcements map[string][]byte) []byte {
	dst = append(dst, `{"cmd":"AUTH","data":{"code":200,"auth":`...)
	dst = AppendString(dst, auth)
	dst = append(dst, `,"msg":"Successful authentication"`...)
	for _, name := range slices.Sorted(maps.Keys(announcements)) {
		value := announcements[name]
		if name == "code" || name == "auth" || name == "msg" || Check(value) != nil {
			continue
		}
		dst = append(dst, ',')
		dst = AppendString(dst, name)
		dst = append(dst, ':')
		dst = append(dst, value...)
	}
	return append(dst, `}}`...)
}

// AppendRefusal appends the AUTH packet of a failure. A client may take any
// code but 200 for final: a passing fault is an INFO packet instead.
func AppendRefusal(dst []byte, code int, msg string) []byte {
	dst = append(dst, `{"cmd":"AUTH","data":{"code":`...)
	dst = strconv.AppendInt(dst, int64(code), 10)
	dst = append(dst, `,"msg":`...)
	dst = AppendString(dst, msg)
	return append(dst, `}}`...)
}

// AppendInfo appends an INFO packet, a sentence for the client.
func AppendInfo(dst []byte, info string) []byte {
	dst = append(dst, `{"cmd":"INFO","data":`...)
	dst = AppendString(dst, info)
	return append(dst, '}')
}

// AppendPong appends the answer to a PING packet.
func AppendPong(dst []byte) []byte {
	return append(dst, `{"cmd":"PONG","data":""}`...)
}
