// Package recorded holds a session of each version of the protocol, as a core
// and a plugin have held it, and plays it again: with the recorded core against
// today's sdk, with the recorded plugin against today's core/link, or with both
// of today. So what was once said stays understood.
//
// A session is lines of JSON in the order in which things were said: a call of
// the core with its response, an envelope of the core, or one of the plugin.
// Which request ids, generations, mids and sessions the sides choose is theirs;
// in the file they have short names, and while a session is played it is kept
// which of today's values stands for which name.
//
// It is for tests. The frames' way over gRPC is not part of it.
package recorded

import (
	"bytes"
	"embed"
	"encoding/json"
	"fmt"
	"os"
	"testing"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"mpush/sdk/pluginpb"
)

//go:embed v1/session.jsonl
var files embed.FS

// Session is what was said, in order.
type Session struct{ Lines []Line }

// Line is one of a call, an envelope of the core and one of the plugin.
type Line struct {
	Call              string // "Describe", …
	Request, Response proto.Message
	Core              *pluginpb.CoreEnvelope
	Plugin            *pluginpb.PluginEnvelope
}

// text is a line in the file.
type text struct {
	Call     string          `json:"call,omitempty"`
	Request  json.RawMessage `json:"request,omitempty"`
	Response json.RawMessage `json:"response,omitempty"`
	Core     json.RawMessage `json:"core,omitempty"`
	Plugin   json.RawMessage `json:"plugin,omitempty"`
}

// V1 is the session of protocol 1.
func V1(t testing.TB) *Session {
	t.Helper()
	data, err := files.ReadFile("v1/session.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	s, err := parse(data)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// calls makes the messages of each call.
var calls = map[string]func() (request, response proto.Message){
	"Describe":  func() (_, _ proto.Message) { return &pluginpb.DescribeRequest{}, &pluginpb.DescribeResponse{} },
	"Configure": func() (_, _ proto.Message) { return &pluginpb.ConfigureRequest{}, &pluginpb.ConfigureResponse{} },
	"Start":     func() (_, _ proto.Message) { return &pluginpb.StartRequest{}, &pluginpb.StartResponse{} },
	"Health":    func() (_, _ proto.Message) { return &pluginpb.HealthRequest{}, &pluginpb.HealthResponse{} },
	"Stop":      func() (_, _ proto.Message) { return &pluginpb.StopRequest{}, &pluginpb.StopResponse{} },
}

func parse(data []byte) (*Session, error) {
	s := &Session{}
	for i, line := range bytes.Split(bytes.TrimSpace(data), []byte("\n")) {
		l, err := parseLine(line)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", i+1, err)
		}
		s.Lines = append(s.Lines, l)
	}
	return s, nil
}

func parseLine(line []byte) (Line, error) {
	var in text
	decoder := json.NewDecoder(bytes.NewReader(line))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&in); err != nil {
		return Line{}, err
	}
	switch {
	case in.Core != nil:
		l := Line{Core: &pluginpb.CoreEnvelope{}}
		return l, protojson.Unmarshal(in.Core, l.Core)
	case in.Plugin != nil:
		l := Line{Plugin: &pluginpb.PluginEnvelope{}}
		return l, protojson.Unmarshal(in.Plugin, l.Plugin)
	case calls[in.Call] == nil:
		return Line{}, fmt.Errorf("there is no call %q", in.Call)
	}
	l := Line{Call: in.Call}
	l.Request, l.Response = calls[in.Call]()
	if err := protojson.Unmarshal(in.Request, l.Request); err != nil {
		return Line{}, err
	}
	return l, protojson.Unmarshal(in.Response, l.Response)
}

// Write makes a file of the session, as parse reads it.
func (s *Session) Write(path string) error {
	var out bytes.Buffer
	for _, l := range s.Lines {
		line, err := l.text()
		if err != nil {
			return err
		}
		out.Write(line)
		out.WriteByte('\n')
	}
	return os.WriteFile(path, out.Bytes(), 0o644)
}

func (l Line) text() ([]byte, error) {
	var out text
	out.Call = l.Call
	for _, part := range []struct {
		message proto.Message
		into    *json.RawMessage
	}{{l.Request, &out.Request}, {l.Response, &out.Response}, {l.Core, &out.Core}, {l.Plugin, &out.Plugin}} {
		if part.message == nil || !part.message.ProtoReflect().IsValid() {
			continue
		}
		made, err := protojson.Marshal(part.message)
		if err != nil {
			return nil, err
		}
		*part.into = made
	}
	var plain bytes.Buffer // json.Marshal takes out the blanks, which protojson varies
	encoder := json.NewEncoder(&plain)
	encoder.SetEscapeHTML(false)
	err := encoder.Encode(out)
	return bytes.TrimSpace(plain.Bytes()), err
}
