package packet

import (
	"bytes"
	"errors"
	"strconv"
	"strings"

	"github.com/tidwall/gjson"
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
	// Cmd is the command's name, of at most 64 bytes.
	Cmd string
	// Data is the JSON value as it was sent, a part of the parsed bytes; nil
	// where there is none.
	Data []byte

	auth string
}

// Auth returns the session that the packet carries, or "".
func (p *Packet) Auth() string { return p.auth }

// Parse reads one packet from a frame or a body. Of repeated keys the last
// wins. The error tells a client what is wrong.
func Parse(b []byte) (Packet, error) {
	if err := Check(b); err != nil {
		return Packet{}, err
	}
	o, ok := object(b)
	if !ok {
		return Packet{}, errors.New("expected a packet: a JSON object")
	}
	var p Packet
	var cmd, auth gjson.Result
	o.ForEach(func(key, value gjson.Result) bool {
		switch key.Str {
		case "cmd":
			cmd = value
		case "data":
			p.Data = part(b, value)
		case "auth":
			auth = value
		}
		return true
	})
	switch {
	case cmd.Type == gjson.Null:
		return Packet{}, ErrNoCommand
	case cmd.Type != gjson.String || cmd.Str == "" || len(cmd.Str) > maxCommandBytes:
		return Packet{}, errNoCommandName
	}
	p.Cmd = cmd.Str
	var err error
	if p.auth, err = text("auth", auth); err != nil {
		return Packet{}, err
	}
	return p, nil
}

// ParseForm makes a packet of a form's fields, which are valid UTF-8. data is
// JSON text.
func ParseForm(cmd, data, auth string) (Packet, error) {
	if len(cmd) == 0 || len(cmd) > maxCommandBytes {
		return Packet{}, errNoCommandName
	}
	p := Packet{Cmd: cmd, auth: auth}
	if p.Data = bytes.TrimSpace([]byte(data)); len(p.Data) == 0 {
		p.Data = nil
		return p, nil
	}
	if err := Check(p.Data); err != nil {
		return Packet{}, errors.New("data: " + err.Error())
	}
	return p, nil
}

// ParseCallback reads the mid of a MESSAGE_CALLBACK, which may be a string or
// a number.
func ParseCallback(data []byte) (mid int64, err error) {
	o, ok := object(data)
	if !ok {
		return 0, errNoObject
	}
	var given gjson.Result
	o.ForEach(func(key, value gjson.Result) bool {
		if key.Str == "mid" {
			given = value
		}
		return true
	})
	digits, err := text("data.mid", given)
	if err != nil {
		return 0, err
	}
	number, err := strconv.ParseUint(digits, 10, 63)
	if err != nil {
		return 0, errNoMid
	}
	return int64(number), nil
}

var (
	errNoObject = errors.New("data: expected an object")
	errNoMid    = errors.New("data.mid: expected the decimal digits of a message's mid")
)

// Login is what an AUTH packet asks for.
type Login struct {
	Token string // "" if none was given
	Name  string // "" if none was given
	Group string // "" is none
}

// ParseLogin reads the data of an AUTH packet. It checks a name that was given,
// not that there is one.
func ParseLogin(data []byte) (Login, error) {
	o, ok := object(data)
	if !ok {
		return Login{}, errNoObject
	}
	var token, name, group gjson.Result
	o.ForEach(func(key, value gjson.Result) bool {
		switch key.Str {
		case "token":
			token = value
		case "name":
			name = value
		case "group":
			group = value
		}
		return true
	})
	var l Login
	var err error
	if l.Token, err = text("data.token", token); err != nil {
		return Login{}, err
	}
	if l.Name, err = optionalName("data.name", name); err != nil {
		return Login{}, err
	}
	if l.Group, err = optionalName("data.group", group); err != nil {
		return Login{}, err
	}
	return l, nil
}

// optionalName reads a name that may be absent. It is a copy of its own, since
// it may be kept for as long as its client is connected, and the packet around
// it need not.
func optionalName(place string, value gjson.Result) (string, error) {
	name, err := text(place, value)
	if err != nil || name == "" {
		return "", err
	}
	return strings.Clone(name), CheckName(place, name)
}
