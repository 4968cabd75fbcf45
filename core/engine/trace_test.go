package engine_test

import (
	"fmt"
	"os"

	"mpush/core/engine"
)

func (w *world) trace(what string, x any) {
	if os.Getenv("TRACE") != "" {
		switch v := x.(type) {
		case *engine.Write:
			fmt.Printf("  %s %T tok=%d", what, v, v.Token)
			for _, op := range v.Ops {
				fmt.Printf(" %T%+v", op, op)
			}
			fmt.Println()
		default:
			fmt.Printf("  %s %T %+v\n", what, x, x)
		}
	}
}
