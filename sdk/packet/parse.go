package packet

import (
	"bytes"
	"errors"
	"strconv"
)

// The commands that every channel knows.
const (
	CmdAuth            = "AUTH"
	CmdMessage         = "MESSAGE"
	CmdMessageReply    = "MESSAGE_REPLY"
	CmdMessageCallback = "MESSAGE_CALLBACK"
	CmdInfo            = "INFO"
	CmdPing            = "PING"
	CmdPong            = "PONG"
	CmdUnregister      = "UNREGISTER"
)

// ErrNoCommand is what Parse returns for a JSON object that has no cmd. The
// document itself is sound: ParseFlat may read it.
var ErrNoCommand = errors.New("cmd: expected a string")

var errNoCommandName = errors.New("cmd: expected the name of a command")

// maxCommandBytes bounds the names of commands.
const maxCommandBytes = 64

// Packet is one packet, with what its command means still to be parsed.
type Packet struct {
	Cmd string
	// Data is the JSON value as it was sent, a part of the parsed bytes; nil
	// where there is none.
	Data []byte

	auth []byte
}

// Auth returns the session that the packet carries, or "".
func (p *Packet) Auth() string {
	s, _ := scalar(p.auth)
	return string(s)
}

// Parse reads one packet from a frame or a body. Of repeated keys the last
// wins. The error tells a client what is wrong.
func Parse(b []byte) (Packet, error) {
	if err := Check(b); err != nil {
		return Packet{}, err
	}
	o, ok := openObject(b)
	if !ok {
		return Packet{}, errors.New("expected a packet: a JSON object")
	}
	var p Packet
	var cmd []byte
	for {
		key, value, _, ok := o.next()
		if !ok {
			break
		}
		switch string(key) {
		case "cmd":
			cmd = value
		case "data":
			p.Data = value
		case "auth":
			p.auth = value
		}
	}
	if isNull(cmd) {
		return Packet{}, ErrNoCommand
	}
	if cmd[0] != '"' {
		return Packet{}, errNoCommandName
	}
	name := plain(cmd)
	if len(name) == 0 || len(name) > maxCommandBytes {
		return Packet{}, errNoCommandName
	}
	if _, ok := scalar(p.auth); !ok {
		return Packet{}, errors.New("auth: expected a string")
	}
	p.Cmd = command(name)
	return p, nil
}

// ParseForm makes a packet of a form's fields, which are valid UTF-8. data is
// JSON text.
func ParseForm(cmd, data, auth string) (Packet, error) {
	if len(cmd) == 0 || len(cmd) > maxCommandBytes {
		return Packet{}, errNoCommandName
	}
	p := Packet{Cmd: cmd}
	if auth != "" {
		p.auth = AppendString(nil, auth)
	}
	if p.Data = bytes.TrimSpace([]byte(data)); len(p.Data) == 0 {
		p.Data = nil
		return p, nil
	}
	if err := Check(p.Data); err != nil {
		return Packet{}, errors.New("data: " + err.Error())
	}
	return p, nil
}

// command spares the common commands an allocation.
func command(b []byte) string {
	switch string(b) {
	case CmdMessageCallback:
		return CmdMessageCallback
	case CmdMessage:
		return CmdMessage
	case CmdPing:
		return CmdPing
	}
	return string(b)
}

// ParseCallback reads the mid of a MESSAGE_CALLBACK, which may be a string or
// a number.
func ParseCallback(data []byte) (mid int64, err error) {
	o, ok := openObject(data)
	if !ok {
		return 0, errNoObject
	}
	var raw []byte
	for {
		key, value, _, ok := o.next()
		if !ok {
			break
		}
		if string(key) == "mid" {
			raw = value
		}
	}
	s, ok := scalar(raw)
	if !ok {
		return 0, errors.New("data.mid: expected a string")
	}
	if len(s) == 0 || digits(s, 0) != len(s) {
		return 0, errNoMid
	}
	if mid, err = strconv.ParseInt(string(s), 10, 64); err != nil {
		return 0, errNoMid
	}
	return mid, nil
}

var (
	errNoObject = errors.New("data: expected an object")
	errNoMid    = errors.New("data.mid: expected the decimal digits of a message's mid")
)

// Login is what an AUTH packet asks for.
type Login struct {
	Token string
	Name  string // "" if none was given
	Group string // "" is none
}

// ParseLogin reads the data of an AUTH packet. It checks a name that was given,
// not that there is one.
func ParseLogin(data []byte) (Login, error) {
	o, ok := openObject(data)
	if !ok {
		return Login{}, errNoObject
	}
	var l Login
	for {
		key, value, _, ok := o.next()
		if !ok {
			break
		}
		var err error
		switch string(key) {
		case "token":
			l.Token, err = text("data.token", value)
		case "name":
			l.Name, err = text("data.name", value)
		case "group":
			l.Group, err = text("data.group", value)
		}
		if err != nil {
			return Login{}, err
		}
	}
	if l.Name != "" {
		if err := CheckName("data.name", l.Name); err != nil {
			return Login{}, err
		}
	}
	if l.Group != "" {
		if err := CheckName("data.group", l.Group); err != nil {
			return Login{}, err
		}
	}
	return l, nil
}
