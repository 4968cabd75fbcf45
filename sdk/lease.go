package sdk

type lease struct{}
