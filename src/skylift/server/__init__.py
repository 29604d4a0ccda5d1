"""The engine as a service: the Step Functions API, Skylift's own, triggers, and what operators need. HTTP only here."""
