// Command file is an mpush channel that appends each message to a file.
package main

import (
	"context"
	"io"
	"os"
	"sync"

	"mpush/sdk"
)

type file struct {
	Path    string                         `json:"path" jsonschema_description:"Where messages are appended."`
	Clients []struct{ Name, Group string } `json:"clients" jsonschema:"required" jsonschema_description:"The receivers."`
	mu      sync.Mutex
}

func (*file) Describe() sdk.Manifest { return sdk.Manifest{Name: "file", Version: "1.0"} }

func (f *file) Config() any { return f } // what it holds are the defaults

func (f *file) Declare(context.Context, sdk.Host) (routes []sdk.Route, err error) {
	for _, c := range f.Clients {
		routes = append(routes, sdk.Route{Receiver: c.Name, Group: c.Group, Policy: sdk.Policy{Exclusive: true, Acks: true}})
	}
	return routes, nil
}

func (f *file) Deliver(_ context.Context, d *sdk.Delivery) error {
	f.mu.Lock() // for several receivers it is called at once
	defer f.mu.Unlock()
	out, err := os.OpenFile(f.Path, os.O_CREATE|os.O_RDWR|os.O_APPEND|os.O_SYNC, 0o600)
	if err != nil {
		return err // tried again later
	}
	defer out.Close()
	line, last := append(d.Message.Packet(), '\n'), []byte{'\n'}
	size, _ := out.Seek(0, io.SeekEnd)
	_, _ = out.ReadAt(last, size-1) // of an empty file nothing is read
	if last[0] != '\n' {            // a write broke off: what it left is no part of this line
		line = append([]byte{'\n'}, line...)
	}
	_, err = out.Write(line)
	return err // nil: it is on disk, the receiver has it
}

func main() { sdk.Serve(&file{Path: "messages.jsonl"}) }
