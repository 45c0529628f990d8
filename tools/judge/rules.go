package main

import (
	"context"
	"fmt"

	policyv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/admission/plugin/policy/validating"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes/fake"
)

// installed is what the cluster holds while the requests arrive.
type installed struct {
	policies   []*policyv1.ValidatingAdmissionPolicy
	bindings   []*policyv1.ValidatingAdmissionPolicyBinding
	namespaces []*corev1.Namespace
}

// rule is one policy in an admission plug-in of its own, so that each refusal is seen and not only the first.
type rule struct {
	name   string
	plugin *validating.Plugin
}

func (i *installed) add(object runtime.Object) error {
	switch object := object.(type) {
	case *policyv1.ValidatingAdmissionPolicy:
		i.policies = append(i.policies, withDefaults(object))
	case *policyv1.ValidatingAdmissionPolicyBinding:
		selectEverything(object.Spec.MatchResources)
		i.bindings = append(i.bindings, object)
	case *corev1.Namespace:
		i.namespaces = append(i.namespaces, object)
	default:
		return fmt.Errorf("%s is no policy, binding, namespace or AdmissionReview", object.GetObjectKind().GroupVersionKind())
	}
	return nil
}

// rules starts a plug-in for each policy; stop ends them all.
func (i *installed) rules() (rules []rule, stop func()) {
	done := make(chan struct{})
	for _, policy := range i.policies {
		objects := []runtime.Object{policy}
		for _, binding := range i.bindings {
			if binding.Spec.PolicyName == policy.Name {
				objects = append(objects, binding)
			}
		}
		for _, namespace := range i.namespaces {
			objects = append(objects, namespace)
		}
		rules = append(rules, rule{policy.Name, start(objects, done)})
	}
	return rules, func() { close(done) }
}

// start runs the plug-in as the API server does, on a client that knows these objects only.
func start(objects []runtime.Object, done <-chan struct{}) *validating.Plugin {
	client := fake.NewSimpleClientset(objects...)
	factory := informers.NewSharedInformerFactory(client, 0)
	plugin := validating.NewPlugin(nil)
	plugin.SetExternalKubeInformerFactory(factory)
	plugin.SetExternalKubeClientSet(client)
	plugin.SetDynamicClient(&dynamic.DynamicClient{}) // asked for parameters only, and a paramKind finds no mapping
	plugin.SetRESTMapper(meta.NewDefaultRESTMapper(nil))
	plugin.SetAuthorizer(authorizer.AuthorizerFunc(nobody))
	plugin.SetDrainedNotification(done)
	if err := plugin.ValidateInitialization(); err != nil {
		panic(err) // a setter above is missing
	}
	factory.Start(done)
	return plugin
}

func (r rule) validate(request admission.Attributes) error {
	return r.plugin.Validate(context.Background(), request, objectInterfaces)
}

func nobody(context.Context, authorizer.Attributes) (authorizer.Decision, string, error) {
	return authorizer.DecisionDeny, "", nil
}

// withDefaults fills in what the API server's defaulting would, for what is left out.
func withDefaults(policy *policyv1.ValidatingAdmissionPolicy) *policyv1.ValidatingAdmissionPolicy {
	fail := policyv1.Fail
	if policy.Spec.FailurePolicy == nil {
		policy.Spec.FailurePolicy = &fail
	}
	selectEverything(policy.Spec.MatchConstraints)
	return policy
}

func selectEverything(match *policyv1.MatchResources) {
	if match == nil {
		return
	}
	equivalent := policyv1.Equivalent
	if match.MatchPolicy == nil {
		match.MatchPolicy = &equivalent
	}
	if match.NamespaceSelector == nil {
		match.NamespaceSelector = &metav1.LabelSelector{}
	}
	if match.ObjectSelector == nil {
		match.ObjectSelector = &metav1.LabelSelector{}
	}
}
