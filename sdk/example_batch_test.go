package sdk_test

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"mpush/sdk"
	"mpush/sdk/pluginpb"
	"mpush/sdk/plugintest"
)

// bulk is an egress to a service that takes many messages in one request.
type bulk struct{}

func (bulk) Describe() sdk.Manifest {
	return sdk.Manifest{Name: "bulk", Version: "1.0", Description: "Sends many at once."}
}

func (bulk) Declare(context.Context, sdk.Host) ([]sdk.Route, error) {
	return []sdk.Route{{Receiver: "ann"}, {Receiver: "bob"}, {Receiver: "eve"}}, nil
}

// DeliverBatch tells the outcome of each delivery by its Done. What it returns is
// for those without.
func (bulk) DeliverBatch(_ context.Context, deliveries []*sdk.Delivery) error {
	fmt.Println("one request for", len(deliveries))
	for _, d := range deliveries {
		if d.Receiver == "eve" {
			d.Done(sdk.Permanent(errors.New("not a customer")))
		}
	}
	return sdk.HandedOff
}

func Example_batch() {
	// func main() { sdk.Serve(bulk{}) }
	core, end := try(bulk{}, plugintest.Options{})
	defer end()

	core.DeliverTo([]string{"ann", "bob", "eve"}, &pluginpb.Message{Text: "to all"})
	var outcomes []string
	for range 3 {
		o := core.Outcome()
		outcomes = append(outcomes, fmt.Sprintln(o.GetReceiver(), o.GetKind()))
	}
	slices.Sort(outcomes)
	for _, o := range outcomes {
		fmt.Print(o)
	}
	// Output:
	// one request for 3
	// ann OUTCOME_KIND_HANDED_OFF
	// bob OUTCOME_KIND_HANDED_OFF
	// eve OUTCOME_KIND_REJECTED
}
