"""Do fitted prices predict the joules of held-out windows, and of live pipelines?"""
