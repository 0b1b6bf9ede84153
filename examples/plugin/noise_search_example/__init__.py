"""An example of a plug-in of noise_search; its parts are named by the files in configs/."""
