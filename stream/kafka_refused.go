package stream

import (
	"crypto/tls"
	"errors"
	"net"

	"github.com/twmb/franz-go/pkg/kerr"

	"matchday/errs"
)

// refusals are answers of brokers that an operator has to do something about, and what.
var refusals = []struct {
	is   error
	tell func(c KafkaConfig) string
}{
	{kerr.SaslAuthenticationFailed, func(c KafkaConfig) string {
		return "the brokers do not take user " + c.User + " with the password in " + c.PasswordFile + " by " + c.Mechanism
	}},
	{kerr.UnsupportedSaslMechanism, func(c KafkaConfig) string { return "the brokers know no sign-in by " + c.Mechanism }},
	{kerr.IllegalSaslState, func(KafkaConfig) string {
		return "the brokers ask for no sign-in: remove user, or their listener is another"
	}},
	{kerr.TopicAuthorizationFailed, func(c KafkaConfig) string {
		return "the account" + c.named() + " needs Create, Read, Write, Describe, DescribeConfigs and Delete on topics that begin with " + c.Prefix + "."
	}},
	{kerr.ClusterAuthorizationFailed, func(c KafkaConfig) string {
		return "the account" + c.named() + " needs Create on topics that begin with " + c.Prefix + "."
	}},
	{kerr.TransactionalIDAuthorizationFailed, func(c KafkaConfig) string {
		return "the account" + c.named() + " needs Write and Describe on transactional ids that begin with " + c.Prefix + "."
	}},
	{kerr.GroupAuthorizationFailed, func(c KafkaConfig) string {
		return "the account" + c.named() + " needs Read on groups that begin with " + c.Prefix + "."
	}},
}

// named is the account's name as a part of a sentence; brokers that know certificates need none.
func (c KafkaConfig) named() string {
	if c.User == "" {
		return ""
	}
	return " " + c.User
}

// refusal says what an operator has to do about an error, "" if it may pass by itself.
func (c KafkaConfig) refusal(err error) string {
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		if c.CAFile == "" {
			return "the certificate of the brokers is not vouched for by this machine's list: set ca_file"
		}
		return "the certificate of the brokers is not vouched for by " + c.CAFile
	}
	if _, ok := errors.AsType[tls.RecordHeaderError](err); ok {
		return "the brokers speak no TLS on this port"
	}
	if alert, ok := errors.AsType[*net.OpError](err); ok && alert.Op == "remote error" { // so crypto/tls tells of alerts
		if c.CertFile == "" {
			return "the brokers refuse a connection without a certificate: set cert_file and key_file"
		}
		return "the brokers refuse the certificate in " + c.CertFile
	}
	for _, r := range refusals {
		if errors.Is(err, r.is) {
			return r.tell(c)
		}
	}
	return ""
}

// isRefused reports whether trying again changes nothing until somebody has done something.
func (c KafkaConfig) isRefused(err error) bool { return c.refusal(err) != "" }

// unavailable is what could not be done at the cluster, with what to do about it as far as that is known.
//
// Errors: unavailable always: rights and passwords are given while processes run.
func (c KafkaConfig) unavailable(err error, op string) error {
	if err == nil {
		return nil
	}
	if tell := c.refusal(err); tell != "" {
		return errs.Wrap(err, errs.CodeUnavailable, "%s: %s", op, tell)
	}
	return unavailable(err, op)
}

// unavailable is KafkaConfig.unavailable.
func (t *kafkaTransport) unavailable(err error, op string) error {
	return t.config.Kafka.unavailable(err, op)
}
