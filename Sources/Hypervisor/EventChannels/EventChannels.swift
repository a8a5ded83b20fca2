/// Event channels of a domain.
public final class EventChannels { public init() {} }
