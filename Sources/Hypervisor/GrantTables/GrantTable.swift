/// The grant table of a domain.
public final class GrantTable { public init() {} }
