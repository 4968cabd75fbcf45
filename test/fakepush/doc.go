// Package fakepush is a push service for tests: a server on loopback that makes
// subscriptions, takes pushes as RFC 8030 says, checks who sent them (VAPID, RFC
// 8292), decrypts them as the subscriber's browser would (RFC 8291), and answers
// what the test wants.
//
//	service := fakepush.New(t, fakepush.Options{})
//	phone := service.Subscribe(announcedKey)
//	… register phone.JSON(), send a message …
//	push := service.Next() // push.Payload is the MESSAGE packet
//
// Its cryptography is the standard library's and its own, so that it is a judge
// of whatever library the sender uses. A request that breaks the protocol fails
// the test and gets the answer that push services in the field give. It knows
// nothing of mpush; what a payload means is for the test to say.
//
// The sender must let its http or https origin on loopback in (Server.Origin).
package fakepush
