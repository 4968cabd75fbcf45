package sdk_test

import (
	"context"
	"fmt"

	"mpush/sdk"
	"mpush/sdk/pluginpb"
	"mpush/sdk/plugintest"
)

// terminal is an egress: it prints the messages of the receivers that its section
// of the operator's config names.
type terminal struct {
	config struct {
		Clients []string `json:"clients" jsonschema:"required,description=the receivers"`
	}
}

func (*terminal) Describe() sdk.Manifest {
	return sdk.Manifest{Name: "terminal", Version: "1.0", Description: "Prints messages."}
}

// Config is what the section is decoded into, and what its schema is made from.
func (p *terminal) Config() any { return &p.config }

// Declare names a route for each of them. Acks: when Deliver returns nil, the
// sender reads "ok".
func (p *terminal) Declare(context.Context, sdk.Host) ([]sdk.Route, error) {
	var routes []sdk.Route
	for _, name := range p.config.Clients {
		routes = append(routes, sdk.Route{Receiver: name, Policy: sdk.Policy{Exclusive: true, Acks: true}})
	}
	return routes, nil
}

// Deliver is called for one message at a time per receiver. An error means that
// it is tried again later.
func (p *terminal) Deliver(_ context.Context, d *sdk.Delivery) error {
	if d.Message.Text == "" {
		return sdk.Permanent(fmt.Errorf("there is nothing to print"))
	}
	fmt.Printf("%s: %s\n", d.Receiver, d.Message.Text)
	return nil
}

func Example_egress() {
	// func main() { sdk.Serve(&terminal{}) }
	core, end := try(&terminal{}, plugintest.Options{Config: `{"clients": ["ann"]}`})
	defer end()

	core.Deliver("ann", &pluginpb.Message{Text: "hello"})
	fmt.Println(core.Outcome().GetKind())
	core.Deliver("ann", &pluginpb.Message{})
	fmt.Println(core.Outcome().GetKind())
	// Output:
	// ann: hello
	// OUTCOME_KIND_ACKED
	// OUTCOME_KIND_REJECTED
}
