package sdk_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"mpush/sdk"
	"mpush/sdk/pluginpb"
	"mpush/sdk/plugintest"
)

// pager has receivers that register themselves: a client that is known to the
// core by whatever channel sends the command REGISTER_PAGER with its number, and
// from then on its messages go there, too.
type pager struct{ host sdk.Host }

func (*pager) Describe() sdk.Manifest {
	return sdk.Manifest{
		Name: "pager", Version: "1.0", Description: "Pages.",
		Commands:    []string{"REGISTER_PAGER"},
		CommandHelp: []sdk.Explained{{Word: "REGISTER_PAGER", Meaning: `{"number": "…"} has the client paged.`}},
		Roles:       []sdk.Role{sdk.RoleEgress},
	}
}

// Declare names no routes: those that were registered are the core's to keep. It
// is where a plugin first meets its Host.
func (p *pager) Declare(_ context.Context, host sdk.Host) ([]sdk.Route, error) {
	p.host = host
	return nil, nil
}

// Command is called with a client that the core has authenticated.
func (p *pager) Command(ctx context.Context, c *sdk.Command) (string, error) {
	var data struct{ Number string }
	if err := json.Unmarshal(c.Data, &data); err != nil || data.Number == "" {
		return "", &sdk.Error{Code: sdk.CodeInvalid, Message: "REGISTER_PAGER needs a number"}
	}
	// The address is this channel's own; it comes back with each delivery, and
	// after a restart of everything. The route stands beside the others.
	err := p.host.Register(ctx, sdk.Route{Receiver: c.Receiver, Group: c.Group, Address: []byte(data.Number)})
	if err != nil {
		return "", err
	}
	return "registered", nil
}

func (p *pager) Deliver(_ context.Context, d *sdk.Delivery) error {
	number := string(d.Address)
	if number == "555-0100" {
		return sdk.Gone(errors.New("the number is no longer in use")) // the route is dropped
	}
	fmt.Printf("paging %s: %s\n", number, d.Message.Text)
	return sdk.HandedOff
}

func Example_register() {
	// func main() { sdk.Serve(&pager{}) }
	core, end := try(&pager{}, plugintest.Options{})
	defer end()

	fmt.Println(core.Command("REGISTER_PAGER", "ann", "", `{}`).GetError().GetMessage())
	fmt.Println(core.Command("REGISTER_PAGER", "ann", "", `{"number": "555-0123"}`).GetInfo())
	fmt.Println(core.Command("REGISTER_PAGER", "bob", "", `{"number": "555-0100"}`).GetInfo())
	for _, name := range []string{"ann", "bob"} {
		core.Deliver(name, &pluginpb.Message{Text: "call home"})
		fmt.Println(core.Outcome().GetKind())
	}
	// Output:
	// REGISTER_PAGER needs a number
	// registered
	// registered
	// paging 555-0123: call home
	// OUTCOME_KIND_HANDED_OFF
	// OUTCOME_KIND_GONE
}
