// Command file is an mpush channel that appends each message to a file.
package main

import (
	"context"
	"os"

	"mpush/sdk"
)

type file struct {
	Path    string                         `json:"path" jsonschema_description:"Where messages are appended."`
	Clients []struct{ Name, Group string } `json:"clients" jsonschema:"required" jsonschema_description:"The receivers."`
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
	out, err := os.OpenFile(f.Path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err // tried again later
	}
	defer out.Close()
	if _, err := out.Write(append(d.Message.Packet(), '\n')); err != nil {
		return err
	}
	return out.Sync() // nil: the receiver has it
}

func main() { sdk.Serve(&file{Path: "messages.jsonl"}) }
